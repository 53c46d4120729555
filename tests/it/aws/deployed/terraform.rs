//! Terraform on a copy of the module, and what it says that it made.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// What the module reads beside itself.
const READ: [&str; 2] = ["pipes", "crates/cloakroom-aws/src/ledger/table.json"];

/// The repository.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap().to_owned()
}

/// An example of the module, copied, so that its state does not land in the repository.
pub(crate) struct Example {
    tree: TempDir,
    folder: PathBuf,
    environment: Vec<(String, String)>,
    variables: Vec<String>,
}

impl Example {
    /// Copies the module with this example; `environment` is for the program that runs Terraform.
    pub(crate) fn copy(name: &str, environment: Vec<(String, String)>) -> Self {
        let tree = tempfile::tempdir().unwrap();
        for path in READ.into_iter().chain(["terraform"]) {
            copy(&root().join(path), &tree.path().join(path));
        }
        let folder = tree.path().join("terraform/examples").join(name);
        assert!(folder.is_dir(), "there is no example {name}");
        Self {
            tree,
            folder,
            environment,
            variables: Vec::new(),
        }
    }

    /// Whether the example has such a file.
    pub(crate) fn has(&self, file: &str) -> bool {
        self.folder.join(file).exists()
    }

    /// The text of a file of the example.
    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file)).unwrap()
    }

    /// Replaces a file of the example.
    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.folder.join(file), text).unwrap();
    }

    /// Gives a variable a value, for everything that follows.
    pub(crate) fn set(&mut self, variable: &str, value: &str) {
        self.variables.push(format!("-var={variable}={value}"));
    }

    /// `terraform apply`, and what is there then.
    pub(crate) fn apply(&self) -> Rendered {
        self.run(
            "apply",
            &["-auto-approve", "-input=false", "-no-color"],
            true,
        );
        self.show()
    }

    /// `terraform destroy`, and what its state still has.
    pub(crate) fn destroy(&self) -> Rendered {
        self.run(
            "destroy",
            &["-auto-approve", "-input=false", "-no-color"],
            true,
        );
        self.show()
    }

    /// Whether nothing is left to do: the emulator has what the files say.
    pub(crate) fn is_up_to_date(&self) -> bool {
        let more = ["-detailed-exitcode", "-input=false", "-no-color"];
        let output = self.output("plan", &more, true);
        match output.status.code() {
            Some(0) => true,
            Some(2) => {
                eprintln!("{}", text_of(&output));
                false
            }
            _ => panic!("{}", text_of(&output)),
        }
    }

    fn show(&self) -> Rendered {
        let shown = self.run("show", &["-json"], false);
        Rendered::read(&serde_json::from_slice(&shown.stdout).unwrap())
    }

    fn run(&self, command: &str, more: &[&str], takes_variables: bool) -> Output {
        let output = self.output(command, more, takes_variables);
        assert!(
            output.status.success(),
            "terraform {command}: {}",
            text_of(&output)
        );
        output
    }

    fn output(&self, command: &str, more: &[&str], takes_variables: bool) -> Output {
        // It says by itself what is missing, Terraform included, and how to get it.
        let mut run = Command::new(root().join("tests/terraform/terraform"));
        run.arg(&self.folder).arg(command).args(more);
        if takes_variables {
            run.args(&self.variables);
        }
        run.envs(self.environment.iter().cloned())
            .current_dir(self.tree.path())
            .output()
            .unwrap_or_else(|error| panic!("tests/terraform/terraform: {error}"))
    }
}

fn text_of(output: &Output) -> String {
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&said).into_owned()
}

/// Copies a file, or a folder without what is hidden in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    if from.is_file() {
        std::fs::copy(from, to).unwrap();
        return;
    }
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let name = entry.unwrap().file_name();
        if !name.to_string_lossy().starts_with('.') {
            copy(&from.join(&name), &to.join(&name));
        }
    }
}

/// One resource, with every value that it has.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) address: String,
    pub(crate) kind: String,
    pub(crate) values: Value,
}

impl Resource {
    /// An attribute that is a text.
    pub(crate) fn text(&self, name: &str) -> &str {
        let value = self.values[name].as_str();
        value.unwrap_or_else(|| panic!("{}: {name} is {}", self.address, self.values[name]))
    }

    /// An attribute that is a whole number.
    pub(crate) fn number(&self, name: &str) -> u64 {
        let value = self.values[name].as_u64();
        value.unwrap_or_else(|| panic!("{}: {name} is {}", self.address, self.values[name]))
    }
}

/// What Terraform made: all resources of all modules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rendered {
    pub(crate) resources: Vec<Resource>,
}

impl Rendered {
    /// From what `terraform show -json` says of a state.
    fn read(shown: &Value) -> Self {
        let mut rendered = Self::default();
        rendered.add(&shown["values"]["root_module"]);
        rendered
    }

    fn add(&mut self, module: &Value) {
        for resource in module["resources"].as_array().into_iter().flatten() {
            if resource["mode"] == "managed" {
                self.resources.push(Resource {
                    address: resource["address"].as_str().unwrap().to_owned(),
                    kind: resource["type"].as_str().unwrap().to_owned(),
                    values: resource["values"].clone(),
                });
            }
        }
        for child in module["child_modules"].as_array().into_iter().flatten() {
            self.add(child);
        }
    }

    /// All resources of a type.
    pub(crate) fn all<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> + 'a {
        let resources = self.resources.iter();
        resources.filter(move |resource| resource.kind == kind)
    }

    /// The one resource of a type whose attribute has this value.
    pub(crate) fn find(&self, kind: &str, attribute: &str, value: &str) -> Option<&Resource> {
        let resources = self.resources.iter();
        resources
            .filter(|resource| resource.kind == kind)
            .find(|resource| resource.values[attribute] == value)
    }

    /// The only resource of a type.
    pub(crate) fn only(&self, kind: &str) -> &Resource {
        let resources = self.resources.iter();
        let found: Vec<&Resource> = resources.filter(|one| one.kind == kind).collect();
        assert_eq!(found.len(), 1, "{kind}: {found:?}");
        found[0]
    }

    /// The function with this handler.
    pub(crate) fn function(&self, handler: &str) -> &Resource {
        let found = self.find("aws_lambda_function", "handler", handler);
        found.unwrap_or_else(|| panic!("no function has the handler {handler}"))
    }
}
