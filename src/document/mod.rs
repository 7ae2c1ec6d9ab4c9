//! TOML files that a person writes: read key by key, and every finding shown at its place.
//!
//! Both `config` and `runbook` are read through this one mechanism. A file becomes a tree whose
//! every node knows its bytes; `Table` hands out typed values, remembers which keys were asked for,
//! and so knows both the unknown keys and what would have been right. Findings are gathered, not
//! thrown: one reading tells all that is wrong with a file. What is shown of the file has its
//! passwords masked (invariant 10).

mod finding;
mod mask;
mod moment;
mod secret;
mod source;
mod table;
pub(crate) mod tree;
mod value;
mod variables;

pub use finding::{Finding, Invalid, render};

pub(crate) use crate::words::{either, spell_out};
pub(crate) use finding::Noted;
pub(crate) use mask::masked;
pub(crate) use moment::Moment;
pub(crate) use secret::{passwords_in, register_variable};
pub(crate) use source::Source;
pub(crate) use table::Table;
pub(crate) use value::{Read, Value, absolute, all};
pub(crate) use variables::{Exposure, Variables, is_name as is_variable_name};

use std::cell::{Ref, RefCell};

use tree::{Node, Place};

/// One file while it is read: its source, what `${NAME}` stands for, and what was found wrong.
pub(crate) struct Reader {
    source: Source,
    /// As it was written, to find the places of `${NAME}`; never shown.
    text: String,
    variables: RefCell<Variables>,
    findings: RefCell<Vec<Finding>>,
}

impl Reader {
    /// Notes a finding; the token proves that reading can't end well.
    pub(crate) fn note(&self, place: &Place, finding: Finding) -> Noted {
        let finding = finding.at(&self.source, place);
        self.findings.borrow_mut().push(finding);
        Noted::new()
    }

    pub(crate) fn variables(&self) -> Ref<'_, Variables> {
        self.variables.borrow()
    }

    /// From here on `${NAME}` is looked for in `variables`.
    pub(crate) fn look_in(&self, variables: Variables) {
        *self.variables.borrow_mut() = variables;
    }

    fn written(&self, span: &std::ops::Range<usize>) -> Option<&str> {
        self.text.get(span.clone())
    }

    fn invalid(self) -> Invalid {
        Invalid::new(self.source, self.findings.into_inner())
    }
}

/// Reads `text` with `read`; keys that it does not say come from `defaults`.
///
/// # Errors
/// All findings: syntax errors alone if there are any, since what follows from them would mislead.
pub(crate) fn read<T>(
    origin: &str,
    text: &str,
    variables: Variables,
    defaults: Option<&Node>,
    read: impl FnOnce(&mut Table<'_>) -> Read<T>,
) -> Result<T, Box<Invalid>> {
    let source = Source::new(origin, text);
    let (mut root, errors) = tree::parse(text);
    let reader = Reader {
        source,
        text: text.to_string(),
        variables: RefCell::new(variables),
        findings: RefCell::default(),
    };
    for (place, finding) in tree::telling(errors) {
        reader.note(&place, finding);
    }
    if !reader.findings.borrow().is_empty() {
        return Err(Box::new(reader.invalid()));
    }
    if let Some(defaults) = defaults {
        root.fill_from(defaults);
    }
    let result = Value::root(&reader, &root).table(read);
    match result {
        Ok(value) if reader.findings.borrow().is_empty() => Ok(value),
        _ => Err(Box::new(reader.invalid())),
    }
}

#[cfg(test)]
mod tests;
