//! From the texts that a user names to objects: everything that is wrong with them, and everything that is right.
//!
//! A text goes through [`crate::yaml`], its objects through the schema of their kind ([`crate::schema`]), into their
//! types, and through what Istio's admission says ([`crate::validation`]). An object with an error is refused, as a
//! cluster would refuse it, and takes nothing else down. What needs two objects to decide is left to `serin-translate`;
//! its findings find their place in the text through [`Loaded::place`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::yaml::{Content, Limits, Node};
use crate::{AnyObject, FieldPath, Finding, Location, ObjectRef, Severity, Span, codes, yaml};

mod advice;
mod identity;
mod mesh;
mod object;

pub use advice::kind_meant;
pub use mesh::{Mesh, mesh};

/// Reads the objects of one text. Objects that name no namespace get `default_namespace`.
pub fn load(file: &str, text: &str, default_namespace: &str) -> Loaded {
    let mut loader = Loader::new(default_namespace);
    loader.add(file, text);
    loader.finish()
}

/// Reads the objects of several texts.
#[derive(Debug, Default)]
pub struct Loader {
    default_namespace: String,
    limits: Limits,
    loaded: Loaded,
}

/// What texts hold.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The objects without errors, in the order of the texts. Of objects of one name only the last.
    pub objects: Vec<LoadedObject>,
    /// Objects with errors that could be read all the same, for those who want to know what else is wrong.
    pub refused: Vec<LoadedObject>,
    /// Everything that was found, in the order of the texts.
    pub findings: Vec<Finding>,
    /// Objects without errors, and objects with errors, that a later one of the same name took the place of.
    earlier: (Vec<LoadedObject>, Vec<LoadedObject>),
    sources: Vec<Source>,
    /// The sources of each object, the latest last.
    index: BTreeMap<Identity, Vec<usize>>,
}

/// An object and where it comes from.
#[derive(Clone, Debug)]
pub struct LoadedObject {
    /// The object.
    pub object: AnyObject,
    source: usize,
}

/// An object in a text.
#[derive(Clone, Debug)]
struct Source {
    file: Arc<str>,
    node: Arc<Node>,
}

/// What makes two objects the same. The version does not: all versions of a kind are views of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Identity {
    group: String,
    kind: String,
    namespace: String,
    name: String,
}

impl From<&ObjectRef> for Identity {
    fn from(object: &ObjectRef) -> Self {
        Self {
            group: object.api_version.split_once('/').map_or("", |(group, _)| group).to_owned(),
            kind: object.kind.clone(),
            namespace: object.namespace.clone(),
            name: object.name.clone(),
        }
    }
}

impl Loader {
    /// A loader that gives objects without a namespace `default_namespace`.
    pub fn new(default_namespace: &str) -> Self {
        Self { default_namespace: default_namespace.to_owned(), ..Self::default() }
    }

    /// The same with other limits on each text.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Reads a text, which findings will call `file`.
    pub fn add(&mut self, file: &str, text: &str) {
        let file: Arc<str> = file.into();
        let before = self.loaded.findings.len();
        let stream = yaml::read_within(text, &self.limits);
        let located = |problem: yaml::Problem| Finding {
            code: problem.code,
            severity: problem.severity,
            object: None,
            field: FieldPath::root(),
            location: Some(Location { file: Arc::clone(&file), span: problem.span }),
            message: problem.message,
            help: problem.help,
            related: Vec::new(),
        };
        self.loaded.findings.extend(stream.problems.into_iter().map(located));
        for document in stream.documents {
            let json = document.root.to_json();
            self.value(&file, Arc::new(document.root), json, document.sound);
        }
        self.loaded.findings[before..]
            .sort_by_key(|finding| finding.location.as_ref().map(|location| location.span.start));
    }

    /// Everything that was read.
    pub fn finish(self) -> Loaded {
        self.loaded
    }

    /// Reads one value, which is an object or a list of objects.
    fn value(&mut self, file: &Arc<str>, node: Arc<Node>, json: Value, sound: bool) {
        match list_items(&json, &node) {
            Some(items) => {
                for (json, node) in items {
                    self.value(file, node, json, sound);
                }
            }
            None => self.object(Source { file: Arc::clone(file), node }, json, sound),
        }
    }

    fn object(&mut self, source: Source, json: Value, sound: bool) {
        let mut read = object::read(json, &source, &self.default_namespace);
        if !sound && read.reference.is_none() {
            // What is missing may well be in what could not be read.
            read.findings.clear();
        }
        let is_refused =
            !sound || read.findings.iter().any(|finding| finding.severity == Severity::Error);
        self.loaded.findings.extend(read.findings);
        let index = self.loaded.sources.len();
        self.loaded.sources.push(source);
        if let Some(reference) = &read.reference
            && !reference.name.is_empty()
        {
            self.register(reference, index, read.object.is_some());
        }
        if let Some(object) = read.object {
            let list = if is_refused { &mut self.loaded.refused } else { &mut self.loaded.objects };
            list.push(LoadedObject { object, source: index });
        }
    }

    /// Remembers where an object stands; an earlier one of the same name gives way, as with `kubectl apply`.
    fn register(&mut self, reference: &ObjectRef, index: usize, is_known: bool) {
        let loaded = &mut self.loaded;
        let versions = loaded.index.entry(Identity::from(reference)).or_default();
        let Some(&earlier) = versions.last() else {
            versions.push(index);
            return;
        };
        let is_same =
            loaded.sources[earlier].node.to_json() == loaded.sources[index].node.to_json();
        if is_same {
            versions.pop();
        }
        versions.push(index);
        let is_earlier = |object: &mut LoadedObject| object.source == earlier;
        let objects: Vec<_> = loaded.objects.extract_if(.., is_earlier).collect();
        let refused: Vec<_> = loaded.refused.extract_if(.., is_earlier).collect();
        // To say the same thing twice is no mistake: files are often cut so that a Service stands in several.
        if is_same {
            return;
        }
        loaded.earlier.0.extend(objects);
        loaded.earlier.1.extend(refused);
        if !is_known {
            return;
        }
        let name = FieldPath::root().keys("metadata.name");
        let first = self.loaded.sources[earlier].place(&name);
        let message = format!(
            "{reference} is given twice; this one takes the place of the one at {}:{}",
            first.file, first.span.start.line
        );
        let mut finding = Finding::new(
            codes::DUPLICATE_OBJECT,
            Severity::Warning,
            reference,
            name.clone(),
            message,
        )
        .with_help("remove one of them, or give one another name or namespace");
        finding.location = Some(self.loaded.sources[index].place(&name));
        self.loaded.findings.push(finding);
    }
}

/// The elements of a list object with their values: `kind: List`, or the list of one kind as `kubectl get` prints it.
fn list_items(json: &Value, node: &Node) -> Option<Vec<(Value, Arc<Node>)>> {
    let kind = json.get("kind")?.as_str()?;
    let element = kind.strip_suffix("List")?;
    let items = json.get("items")?.as_array()?;
    let nodes = node.get("items")?.items()?;
    let complete = |item: &Value| {
        let mut item = item.clone();
        if let Some(map) = item.as_object_mut()
            && !element.is_empty()
        {
            map.entry("kind").or_insert_with(|| Value::from(element));
            map.entry("apiVersion")
                .or_insert_with(|| json.get("apiVersion").cloned().unwrap_or_default());
        }
        item
    };
    Some(items.iter().zip(nodes).map(|(item, node)| (complete(item), Arc::clone(node))).collect())
}

impl Loaded {
    /// Where a field of an object stands: its key (for an element of a list: the element), and its value. If there is no
    /// such field, the places of what would hold it. `None` for objects that are not from a text.
    pub fn locate(&self, object: &ObjectRef, field: &FieldPath) -> Option<(Location, Location)> {
        let source = self.source(object)?;
        let (key, value) = source.node.find(field);
        Some((source.location(key), source.location(value)))
    }

    /// The place to show for a field of an object: the value if it is on one line, otherwise the line it begins on.
    pub fn place(&self, object: &ObjectRef, field: &FieldPath) -> Option<Location> {
        Some(self.source(object)?.place(field))
    }

    /// How many states applying the texts goes through, where objects are given several times: one, if none is.
    pub fn steps(&self) -> usize {
        self.index.values().map(Vec::len).max().unwrap_or(1)
    }

    /// The objects of one of the [steps](Self::steps), counted from 0: of each object the version of that number, or the
    /// last one if there are not so many. Without findings.
    #[must_use]
    pub fn step(&self, step: usize) -> Self {
        let chosen = |versions: &Vec<usize>| versions.get(step).or(versions.last()).copied();
        let index: BTreeMap<Identity, Vec<usize>> = self
            .index
            .iter()
            .map(|(object, versions)| (object.clone(), chosen(versions).into_iter().collect()))
            .collect();
        let kept: BTreeSet<usize> = index.values().flatten().copied().collect();
        let left: BTreeSet<usize> = self
            .index
            .values()
            .flatten()
            .copied()
            .filter(|source| !kept.contains(source))
            .collect();
        let pick = |latest: &[LoadedObject], earlier: &[LoadedObject]| {
            let all = latest.iter().chain(earlier);
            let mut picked: Vec<LoadedObject> =
                all.filter(|object| !left.contains(&object.source)).cloned().collect();
            picked.sort_by_key(|object| object.source);
            picked
        };
        Self {
            objects: pick(&self.objects, &self.earlier.0),
            refused: pick(&self.refused, &self.earlier.1),
            sources: self.sources.clone(),
            index,
            ..Self::default()
        }
    }

    /// Every object that could be read, those with errors too.
    pub fn readable(&self) -> impl Iterator<Item = &AnyObject> {
        self.objects.iter().chain(&self.refused).map(|loaded| &loaded.object)
    }

    fn source(&self, object: &ObjectRef) -> Option<&Source> {
        let versions = self.index.get(&Identity::from(object))?;
        versions.last().and_then(|&index| self.sources.get(index))
    }
}

impl Source {
    fn location(&self, span: Span) -> Location {
        Location { file: Arc::clone(&self.file), span }
    }

    /// The value at `field`, or where it should be, in few characters.
    fn place(&self, field: &FieldPath) -> Location {
        let (key, value) = self.node.find(field);
        let reached = reached(&self.node, field);
        let span = match &reached.content {
            Content::Scalar(_)
                if value.start != value.end && value.start.line == value.end.line =>
            {
                value
            }
            Content::Scalar(_) => key,
            // An element of a list, or the object itself, has no key: its own first line stands for it.
            _ if key == value => first_line(reached),
            _ => key,
        };
        self.location(span)
    }

    /// The name of the field at `field`.
    fn key_place(&self, field: &FieldPath) -> Location {
        self.location(self.node.find(field).0)
    }
}

/// The value at `field`, or the nearest above it that exists.
fn reached<'n>(root: &'n Node, field: &FieldPath) -> &'n Node {
    let mut node = root;
    for segment in field.segments() {
        let next = match segment {
            crate::Segment::Key(key) => node.get(key),
            crate::Segment::Index(index) => {
                node.items().and_then(|items| items.get(*index)).map(|it| &**it)
            }
        };
        let Some(next) = next else { break };
        node = next;
    }
    node
}

/// The first key of a mapping, the first line of a list.
fn first_line(node: &Node) -> Span {
    match &node.content {
        Content::Map(entries) => entries.first().map_or(node.span, |entry| entry.key_span),
        Content::List(items) => items.first().map_or(node.span, |item| first_line(item)),
        Content::Scalar(_) => node.span,
    }
}

#[cfg(test)]
mod tests;
