//! Prints the JSON Schema of pipe definitions: `cargo run -p cloakroom-pipes --example schema > pipes/pipe.schema.json`.

fn main() {
    println!("{:#}", cloakroom_pipes::Definition::schema());
}
