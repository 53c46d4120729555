//! From JSON to a compiled pattern, refusing what EventBridge refuses.

use serde_json::{Map, Value};

use super::join::{COPIES_MAX, join};
use super::node::{Member, Node};
use super::test::{Cidr, Exact, NUMERIC_MAX, Range, Test, folded};
use super::wildcard::Wildcard;
use super::{Dialect, PATTERN_MAX_BYTES, PATTERN_MAX_DEPTH, PatternError, PatternProblem};

const OR: &str = "$or";

const OPERATORS: [&str; 8] = [
    "prefix",
    "suffix",
    "equals-ignore-case",
    "anything-but",
    "numeric",
    "cidr",
    "exists",
    "wildcard",
];

/// Names that Event Ruler keeps for itself inside `$or`, besides the operators.
const RESERVED: [&str; 16] = [
    "exactly",
    "=",
    "<",
    "<=",
    ">",
    ">=",
    "regex",
    "not-wildcard",
    "not-equals-ignore-case",
    "date-after",
    "date-on-or-after",
    "date-before",
    "date-on-or-before",
    "in-date-range",
    "ip-address-in-range",
    "ip-address-not-in-range",
];

pub(super) fn parse(pattern: &Value, dialect: Dialect) -> Result<Node, PatternError> {
    let mut parser = Parser {
        dialect,
        bytes: PATTERN_MAX_BYTES,
        copies: COPIES_MAX,
    };
    parser.object(pattern, "", 0, false)
}

type Parsed<T> = Result<T, PatternError>;

struct Parser {
    dialect: Dialect,
    /// What is left of [`PATTERN_MAX_BYTES`].
    bytes: usize,
    copies: usize,
}

impl Parser {
    fn object(&mut self, value: &Value, path: &str, depth: usize, in_or: bool) -> Parsed<Node> {
        let members = value
            .as_object()
            .ok_or_else(|| at(path, PatternProblem::NotAnObject))?;
        if members.is_empty() {
            return Err(at(path, PatternProblem::EmptyObject));
        }
        if depth >= PATTERN_MAX_DEPTH {
            return Err(at(path, PatternProblem::TooDeep));
        }
        let mut node = Node::default();
        for (name, value) in members {
            self.charge(name, path)?;
            let path = if path.is_empty() {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            if name == OR {
                node.ors.push(self.or(value, &path, depth + 1)?);
                continue;
            }
            if in_or && is_reserved(name) {
                return Err(at(&path, PatternProblem::ReservedInOr(name.clone())));
            }
            let member = match value {
                Value::Array(tests) => Member::Leaf(self.tests(tests, &path)?.into()),
                Value::Object(_) => Member::Object(self.object(value, &path, depth + 1, in_or)?),
                _ if OPERATORS.contains(&name.as_str()) => {
                    return Err(at(&path, PatternProblem::OperatorOutsideList(name.clone())));
                }
                other => return Err(at(&path, PatternProblem::NotAList(shown(other)))),
            };
            node.members.push((name.as_str().into(), member));
        }
        join(node, &mut self.copies).map_err(|problem| at(path, problem))
    }

    fn or(&mut self, value: &Value, path: &str, depth: usize) -> Parsed<Vec<Node>> {
        let branches = value
            .as_array()
            .filter(|branches| branches.len() >= 2)
            .ok_or_else(|| at(path, PatternProblem::OrForm))?;
        branches
            .iter()
            .enumerate()
            .map(|(index, branch)| self.object(branch, &format!("{path}[{index}]"), depth, true))
            .collect()
    }

    fn tests(&mut self, values: &[Value], path: &str) -> Parsed<Vec<Test>> {
        if values.is_empty() {
            return Err(at(path, PatternProblem::EmptyList));
        }
        values
            .iter()
            .enumerate()
            .map(|(index, value)| self.test(value, &format!("{path}[{index}]")))
            .collect()
    }

    fn test(&mut self, value: &Value, path: &str) -> Parsed<Test> {
        match value {
            Value::Array(_) => Err(at(path, PatternProblem::NestedList)),
            Value::Object(operator) => {
                let (name, operand) = self.operator(operator, path)?;
                self.operation(name, operand, &format!("{path}.{name}"))
            }
            scalar => self.scalar(scalar, path),
        }
    }

    fn scalar(&mut self, value: &Value, path: &str) -> Parsed<Test> {
        self.charge(value.as_str().unwrap_or_default(), path)?;
        Ok(match value {
            Value::Bool(value) => Test::Bool(*value),
            Value::Number(number) => Test::Number(Exact::from(number)),
            Value::String(text) => Test::Text(text.clone()),
            _ => Test::Null,
        })
    }

    /// The one operator in an object.
    fn operator<'a>(
        &mut self,
        object: &'a Map<String, Value>,
        path: &str,
    ) -> Parsed<(&'a str, &'a Value)> {
        let mut members = object.iter();
        match (members.next(), members.next()) {
            (Some((name, operand)), None) => {
                self.charge(name, path)?;
                Ok((name, operand))
            }
            _ => Err(at(path, PatternProblem::OneOperator)),
        }
    }

    fn operation(&mut self, name: &str, operand: &Value, path: &str) -> Parsed<Test> {
        match name {
            "prefix" | "suffix" => self.affix(name, operand, path),
            "equals-ignore-case" => Ok(Test::EqualsIgnoreCase(folded(self.text(operand, path)?))),
            "wildcard" => {
                self.refuse_in_pipes(path, "`wildcard`", "use `prefix` or `suffix`")?;
                self.wildcard(operand, path)
            }
            "anything-but" => self.anything_but(operand, path),
            "numeric" => numeric(operand, path),
            "cidr" => Cidr::parse(self.text(operand, path)?)
                .map(Test::Cidr)
                .ok_or_else(|| at(path, PatternProblem::Cidr)),
            "exists" => operand
                .as_bool()
                .map(Test::Exists)
                .ok_or_else(|| at(path, PatternProblem::Operand("true or false"))),
            unknown => Err(at(path, unknown_operator(unknown, &OPERATORS))),
        }
    }

    /// `prefix` and `suffix`, with text or with `{"equals-ignore-case": text}`.
    fn affix(&mut self, name: &str, operand: &Value, path: &str) -> Parsed<Test> {
        let Some(object) = operand.as_object() else {
            let text = self.text(operand, path)?.to_owned();
            return Ok(if name == "prefix" {
                Test::Prefix(text)
            } else {
                Test::Suffix(text)
            });
        };
        let (inner, operand) = self.operator(object, path)?;
        let path = format!("{path}.{inner}");
        if inner != "equals-ignore-case" {
            return Err(at(&path, unknown_operator(inner, &["equals-ignore-case"])));
        }
        let text = folded(self.text(operand, &path)?);
        Ok(if name == "prefix" {
            Test::PrefixIgnoreCase(text)
        } else {
            Test::SuffixIgnoreCase(text)
        })
    }

    fn wildcard(&mut self, operand: &Value, path: &str) -> Parsed<Test> {
        Wildcard::parse(self.text(operand, path)?)
            .map(Test::Wildcard)
            .map_err(|problem| at(path, problem))
    }

    fn anything_but(&mut self, operand: &Value, path: &str) -> Parsed<Test> {
        const VALUES: PatternProblem = PatternProblem::Operand(
            "a string, a number, a list of strings or of numbers, or one of `prefix`, `suffix`, `equals-ignore-case`, `wildcard`",
        );
        if let Some(object) = operand.as_object() {
            let (name, operand) = self.operator(object, path)?;
            self.refuse_in_pipes(
                path,
                "`anything-but` with another operator",
                "list the values that must not match",
            )?;
            return self.anything_but_operator(name, operand, &format!("{path}.{name}"));
        }
        let tests = self.each(operand, path, |parser, value, path| match value {
            Value::String(_) | Value::Number(_) => parser.scalar(value, path),
            _ => Err(at(path, VALUES)),
        })?;
        let numbers = tests
            .iter()
            .filter(|test| matches!(test, Test::Number(_)))
            .count();
        if numbers != 0 && numbers != tests.len() {
            return Err(at(path, PatternProblem::MixedList));
        }
        Ok(Test::AnythingBut(tests))
    }

    fn anything_but_operator(&mut self, name: &str, operand: &Value, path: &str) -> Parsed<Test> {
        const NESTED: [&str; 4] = ["prefix", "suffix", "equals-ignore-case", "wildcard"];
        if !NESTED.contains(&name) {
            return Err(at(path, unknown_operator(name, &NESTED)));
        }
        let tests = self.each(operand, path, |parser, value, path| match value {
            // Every text has the empty prefix and suffix, so nothing would be left.
            Value::String(text) if text.is_empty() && matches!(name, "prefix" | "suffix") => Err(
                at(path, PatternProblem::Operand("a string that is not empty")),
            ),
            Value::String(_) => parser.operation(name, value, path),
            _ => Err(at(
                path,
                PatternProblem::Operand("a string or a list of strings"),
            )),
        })?;
        Ok(Test::AnythingBut(tests))
    }

    /// An operand that may be one value or a list of them.
    fn each(
        &mut self,
        operand: &Value,
        path: &str,
        mut test: impl FnMut(&mut Self, &Value, &str) -> Parsed<Test>,
    ) -> Parsed<Vec<Test>> {
        match operand {
            Value::Array(values) if values.is_empty() => Err(at(path, PatternProblem::EmptyList)),
            Value::Array(values) => values
                .iter()
                .enumerate()
                .map(|(index, value)| test(self, value, &format!("{path}[{index}]")))
                .collect(),
            value => Ok(vec![test(self, value, path)?]),
        }
    }

    fn text<'a>(&mut self, operand: &'a Value, path: &str) -> Parsed<&'a str> {
        let text = operand
            .as_str()
            .ok_or_else(|| at(path, PatternProblem::Operand("a string")))?;
        self.charge(text, path)?;
        Ok(text)
    }

    fn refuse_in_pipes(&self, path: &str, what: &'static str, instead: &'static str) -> Parsed<()> {
        match self.dialect {
            Dialect::EventBridge => Ok(()),
            Dialect::Pipes => Err(at(path, PatternProblem::NotInPipes { what, instead })),
        }
    }

    fn charge(&mut self, text: &str, path: &str) -> Parsed<()> {
        self.bytes = self
            .bytes
            .checked_sub(text.len() + 8)
            .ok_or_else(|| at(path, PatternProblem::TooLarge))?;
        Ok(())
    }
}

fn numeric(operand: &Value, path: &str) -> Parsed<Test> {
    let form = || at(path, PatternProblem::NumericForm);
    let terms = operand.as_array().ok_or_else(form)?;
    let bound = |index: usize| {
        let value = terms.get(index).and_then(Value::as_f64).ok_or_else(form)?;
        let fits = value.abs() <= NUMERIC_MAX;
        fits.then_some(value)
            .ok_or_else(|| at(&format!("{path}[{index}]"), PatternProblem::NumberRange))
    };
    let signs: Vec<_> = terms
        .iter()
        .step_by(2)
        .map(|term| term.as_str().unwrap_or_default())
        .collect();
    let mut range = Range::ALL;
    match (signs.as_slice(), terms.len()) {
        (["="], 2) => {
            range.low = (bound(1)?, true);
            range.high = range.low;
        }
        ([low @ (">" | ">=")], 2) => range.low = (bound(1)?, *low == ">="),
        ([high @ ("<" | "<=")], 2) => range.high = (bound(1)?, *high == "<="),
        ([low @ (">" | ">="), high @ ("<" | "<=")], 4) => {
            range.low = (bound(1)?, *low == ">=");
            range.high = (bound(3)?, *high == "<=");
            if range.low.0 >= range.high.0 {
                return Err(at(path, PatternProblem::EmptyRange));
            }
        }
        _ => return Err(form()),
    }
    Ok(Test::Numeric(range))
}

fn is_reserved(name: &str) -> bool {
    OPERATORS.contains(&name) || RESERVED.contains(&name)
}

fn unknown_operator(name: &str, known: &[&str]) -> PatternProblem {
    let plain = name.to_lowercase().replace('_', "-");
    let nearest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&plain, known), known))
        .min();
    let hint = match nearest {
        Some((distance, nearest)) if distance <= 2 => format!("did you mean `{nearest}`?"),
        _ => format!(
            "use one of {}",
            known
                .iter()
                .map(|known| format!("`{known}`"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    PatternProblem::UnknownOperator {
        name: name.to_owned(),
        hint,
    }
}

/// A scalar as it would stand in the list, cut where it is long.
fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 60 {
        "…".to_owned()
    } else {
        text
    }
}

fn at(path: &str, problem: PatternProblem) -> PatternError {
    PatternError {
        path: path.to_owned(),
        problem,
    }
}
