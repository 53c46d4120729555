//! The `cloakroom` command.

fn main() -> std::process::ExitCode {
    cloakroom_cli::run()
}
