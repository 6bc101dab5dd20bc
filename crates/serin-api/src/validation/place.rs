//! Where validation is in an object, and where it puts what it finds.

use std::cell::RefCell;

use super::Problem;
use crate::codes::{DUBIOUS, INVALID};
use crate::{Code, FieldPath, Segment, Severity};

/// A field under validation. Costs nothing until something is reported about it.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    parent: Option<&'a Self>,
    step: Step<'a>,
    problems: &'a RefCell<Vec<Problem>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Key(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    pub(super) const fn root(problems: &'a RefCell<Vec<Problem>>) -> Self {
        Self { parent: None, step: Step::Root, problems }
    }

    pub(super) const fn key<'b>(&'b self, key: &'b str) -> Place<'b> {
        Place { parent: Some(self), step: Step::Key(key), problems: self.problems }
    }

    pub(super) const fn index(&self, index: usize) -> Place<'_> {
        Place { parent: Some(self), step: Step::Index(index), problems: self.problems }
    }

    /// The path from the object to this field.
    pub(super) fn path(&self) -> FieldPath {
        let mut inner_to_outer = Vec::new();
        let mut next = Some(self);
        while let Some(place) = next {
            match place.step {
                Step::Root => {}
                Step::Key(key) => inner_to_outer.push(Segment::Key(key.to_owned())),
                Step::Index(index) => inner_to_outer.push(Segment::Index(index)),
            }
            next = place.parent;
        }
        inner_to_outer.into_iter().rev().collect()
    }

    pub(super) fn error(&self, message: impl Into<String>) {
        self.report(INVALID, Severity::Error, message, Vec::new());
    }

    pub(super) fn warning(&self, message: impl Into<String>) {
        self.report(DUBIOUS, Severity::Warning, message, Vec::new());
    }

    pub(super) fn report(
        &self,
        code: Code,
        severity: Severity,
        message: impl Into<String>,
        related: Vec<(FieldPath, String)>,
    ) {
        let field = self.path();
        let message = message.into();
        let problem = Problem { code, severity, field, message, help: None, related };
        self.problems.borrow_mut().push(problem);
    }

    /// Reports an error if `result` is one. True if it is not.
    pub(super) fn expect(&self, result: Result<(), String>) -> bool {
        let ok = result.is_ok();
        if let Err(message) = result {
            self.error(message);
        }
        ok
    }

    /// Checks every element of a list.
    pub(super) fn each<'t, T>(&self, items: &'t [T], mut check: impl FnMut(&'t T, &Place<'_>)) {
        for (index, item) in items.iter().enumerate() {
            check(item, &self.index(index));
        }
    }
}
