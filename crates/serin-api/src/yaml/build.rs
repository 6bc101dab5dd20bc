//! From the parser's events to trees: aliases, merge keys, duplicate keys, tags and limits.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use granit_parser::{
    Event, ParseResult, Parser, ScalarStyle, ScanError, Span as Mark, StrInput, Tag,
};
use serde_json::Value;

use super::scalar::{Plain, float_key, float_to_json, resolve};
use super::{Limits, problem::Fault};
use crate::codes;

/// The namespace of the tags that YAML itself defines (`!!str`, `!!int`…).
const CORE: &str = "tag:yaml.org,2002:";

/// A tree whose positions are byte offsets into the text that was parsed.
#[derive(Debug)]
pub(super) struct RawNode {
    pub(super) range: Range<usize>,
    pub(super) content: RawContent,
    /// Nodes in this tree, each alias counted as what it stands for.
    weight: usize,
    /// Levels in this tree.
    height: usize,
}

#[derive(Debug)]
pub(super) enum RawContent {
    Scalar(Value),
    List(Vec<Arc<RawNode>>),
    Map(Vec<RawEntry>),
}

#[derive(Clone, Debug)]
pub(super) struct RawEntry {
    pub(super) key: String,
    pub(super) key_range: Range<usize>,
    pub(super) value: Arc<RawNode>,
}

/// What one document's text holds: usually one tree, more where `...` separates them.
#[derive(Default)]
pub(super) struct Built {
    /// The trees, `None` where a document is empty.
    pub(super) roots: Vec<Option<Arc<RawNode>>>,
    /// What is wrong although the text follows YAML's grammar.
    pub(super) faults: Vec<Fault>,
    /// Where the text stops following the grammar.
    pub(super) stop: Option<ScanError>,
}

/// Parses `text` up to its first syntax error.
pub(super) fn build(text: &str, limits: &Limits) -> Built {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_unresolved_aliases: true,
        flow_nesting_limit: limits.depth,
        block_nesting_limit: limits.depth,
        simple_key_max_lookahead: 64 * 1024,
    };
    let mut builder = Builder {
        text,
        limits,
        frames: Vec::new(),
        anchors: HashMap::new(),
        nodes: 0,
        root: None,
        out: Built::default(),
    };
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str_with_options(text, options);
    while let Some(event) = parser.next_event() {
        if !builder.take(event) {
            break;
        }
    }
    builder.out
}

enum Frame {
    List { anchor: usize, start: usize, items: Vec<Arc<RawNode>> },
    Map(MapFrame),
}

struct MapFrame {
    anchor: usize,
    start: usize,
    entries: Vec<RawEntry>,
    seen: HashMap<String, Range<usize>>,
    merges: Vec<(Range<usize>, Arc<RawNode>)>,
    /// The key whose value comes next.
    key: Option<Key>,
}

enum Key {
    Named(String, Range<usize>),
    Merge(Range<usize>),
    /// A key that cannot be one in JSON; its value is read and dropped.
    Unusable,
}

struct Builder<'t> {
    text: &'t str,
    limits: &'t Limits,
    frames: Vec<Frame>,
    anchors: HashMap<usize, Arc<RawNode>>,
    nodes: usize,
    root: Option<Arc<RawNode>>,
    out: Built,
}

impl Builder<'_> {
    /// Takes one event; false when there is nothing more to read.
    fn take(&mut self, event: ParseResult<'_>) -> bool {
        let (event, mark) = match event {
            Ok(event) => event,
            Err(error) => {
                self.out.stop = Some(error);
                return false;
            }
        };
        let range = mark_range(&mark, self.text);
        self.nodes += usize::from(event.is_node());
        if self.nodes > self.limits.nodes {
            self.fault(
                range,
                codes::LIMIT,
                format!("the text has more than {} values", self.limits.nodes),
            );
            return false;
        }
        match event {
            Event::DocumentEnd => {
                let root = self.root.take();
                self.out.roots.push(root);
                self.anchors.clear();
            }
            Event::Scalar(text, style, anchor, tag) => {
                let range = self.with_header(range, style);
                self.scalar(&text, style, anchor, tag.as_deref(), range);
            }
            Event::SequenceStart(_, anchor, _) => {
                self.frames.push(Frame::List { anchor, start: range.start, items: Vec::new() });
            }
            Event::MappingStart(_, anchor, _) => self.frames.push(Frame::Map(MapFrame {
                anchor,
                start: range.start,
                entries: Vec::new(),
                seen: HashMap::new(),
                merges: Vec::new(),
                key: None,
            })),
            Event::SequenceEnd | Event::MappingEnd => self.close(range),
            Event::Alias(id) => return self.alias(id, range),
            Event::UnresolvedAlias(name) => self.unknown_alias(&name, range),
            _ => {}
        }
        true
    }

    fn fault(&mut self, range: Range<usize>, code: crate::Code, message: String) -> &mut Fault {
        self.out.faults.push(Fault::new(code, range, message));
        let last = self.out.faults.len() - 1;
        &mut self.out.faults[last]
    }

    /// The range of a block text from its `|` or `>` on; the parser counts from the first character of its lines.
    fn with_header(&self, range: Range<usize>, style: ScalarStyle) -> Range<usize> {
        let indicator = match style {
            ScalarStyle::Literal => '|',
            ScalarStyle::Folded => '>',
            _ => return range,
        };
        let start = self.text[..range.start].rfind(indicator).unwrap_or(range.start);
        start..range.end.max(start + 1)
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        range: Range<usize>,
    ) {
        let plain = match (tag, style) {
            (None, ScalarStyle::Plain) => resolve(text),
            (Some(tag), _) => match self.tagged(text, tag, &range) {
                Tagged::Plain(plain) => plain,
                Tagged::Decoded(value) => {
                    return self.place(leaf(Value::String(value), range), anchor);
                }
            },
            (None, _) => Plain::Text,
        };
        if self.awaits_key() {
            return self.key(text, plain, anchor, range);
        }
        let value = match plain {
            Plain::Null => Value::Null,
            Plain::Bool(value) => Value::Bool(value),
            Plain::Int(value) => Value::from(value),
            Plain::Uint(value) => Value::from(value),
            Plain::Float(value) => float_to_json(value).unwrap_or_else(|| {
                self.fault(range.clone(), codes::NOT_JSON, format!("JSON has no number `{text}`"))
                    .help("put the value in quotes if it is meant as text");
                Value::Null
            }),
            Plain::Merge | Plain::Text => Value::String(text.to_owned()),
        };
        self.place(leaf(value, range), anchor);
    }

    /// What a tag makes of a scalar. Tags of an application's own leave it a text.
    fn tagged(&mut self, text: &str, tag: &Tag, range: &Range<usize>) -> Tagged {
        let is = |name: &str| tag.suffix_in_namespace(CORE).is_some_and(|suffix| suffix == name);
        if is("binary") {
            let packed: String = text.split_ascii_whitespace().collect();
            let decoded = base64::engine::general_purpose::STANDARD.decode(packed).ok();
            if let Some(value) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) {
                return Tagged::Decoded(value);
            }
            self.fault(
                range.clone(),
                codes::TAG,
                "the value tagged `!!binary` is not base64 of a text".into(),
            );
            return Tagged::Plain(Plain::Text);
        }
        let wanted = ["bool", "int", "float", "null"].into_iter().find(|name| is(name));
        let Some(wanted) = wanted else { return Tagged::Plain(Plain::Text) };
        let plain = resolve(text);
        let fits = match plain {
            Plain::Bool(_) => wanted == "bool",
            Plain::Int(_) | Plain::Uint(_) => wanted == "int" || wanted == "float",
            Plain::Float(_) => wanted == "float",
            Plain::Null => wanted == "null",
            Plain::Merge | Plain::Text => false,
        };
        if !fits {
            self.fault(
                range.clone(),
                codes::TAG,
                format!("`{text}` is tagged `!!{wanted}` but is none"),
            );
        }
        Tagged::Plain(plain)
    }

    fn awaits_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame::Map(MapFrame { key: None, .. })))
    }

    fn key(&mut self, text: &str, plain: Plain, anchor: usize, range: Range<usize>) {
        let name = match plain {
            Plain::Merge => {
                self.set_key(Key::Merge(range));
                return;
            }
            Plain::Null => {
                self.fault(
                    range,
                    codes::KEY,
                    "a key is missing: null cannot be the name of a field".into(),
                )
                .help("write the name before the colon, or in quotes if it is meant as text");
                self.set_key(Key::Unusable);
                return;
            }
            Plain::Bool(value) => value.to_string(),
            Plain::Int(value) => value.to_string(),
            Plain::Uint(value) => value.to_string(),
            Plain::Float(value) => float_key(value),
            Plain::Text => text.to_owned(),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::new(leaf(Value::String(name.clone()), range.clone())));
        }
        self.set_key(Key::Named(name, range));
    }

    fn set_key(&mut self, key: Key) {
        if let Some(Frame::Map(map)) = self.frames.last_mut() {
            map.key = Some(key);
        }
    }

    fn close(&mut self, end: Range<usize>) {
        let Some(frame) = self.frames.pop() else { return };
        // The end of a block collection is seen at the token after it; its last child says where it ends.
        let (content, anchor, start, last) = match frame {
            Frame::List { anchor, start, items } => {
                let last = items.last().map(|item| item.range.end);
                (RawContent::List(items), anchor, start, last)
            }
            Frame::Map(map) => {
                let (anchor, start) = (map.anchor, map.start);
                let entries = self.merged(map);
                let last = entries
                    .iter()
                    .map(|entry| entry.value.range.end.max(entry.key_range.end))
                    .max();
                (RawContent::Map(entries), anchor, start, last)
            }
        };
        let end = if end.is_empty() {
            last.unwrap_or(start).clamp(start, end.end.max(start))
        } else {
            end.end
        };
        let node = self.measured(content, start..end);
        if self.frames.len() + node.height > self.limits.depth {
            let message = format!("values are nested more than {} levels deep", self.limits.depth);
            self.fault(node.range.clone(), codes::LIMIT, message);
            return self.place(leaf(Value::Null, node.range), 0);
        }
        self.place(node, anchor);
    }

    fn measured(&self, content: RawContent, range: Range<usize>) -> RawNode {
        let (mut weight, mut height) = (1_usize, 0);
        let mut count = |child: &RawNode| {
            weight = weight.saturating_add(child.weight);
            height = height.max(child.height);
        };
        match &content {
            RawContent::Scalar(_) => {}
            RawContent::List(items) => items.iter().for_each(|item| count(item)),
            RawContent::Map(entries) => entries.iter().for_each(|entry| count(&entry.value)),
        }
        RawNode { range, content, weight, height: height + 1 }
    }

    /// The entries of a mapping with those merged by `<<` that it does not set itself.
    fn merged(&mut self, map: MapFrame) -> Vec<RawEntry> {
        let MapFrame { mut entries, mut seen, merges, .. } = map;
        for (range, source) in merges {
            let sources = match &source.content {
                RawContent::List(items) => items.clone(),
                _ => vec![source],
            };
            for source in sources {
                let RawContent::Map(merged) = &source.content else {
                    self.fault(
                        range.clone(),
                        codes::KEY,
                        "`<<` merges mappings, and this is none".into(),
                    )
                    .help("give it an alias of a mapping, or a list of such aliases");
                    continue;
                };
                for entry in merged {
                    if !seen.contains_key(&entry.key) {
                        seen.insert(entry.key.clone(), entry.key_range.clone());
                        entries.push(entry.clone());
                    }
                }
            }
        }
        entries
    }

    fn alias(&mut self, id: usize, range: Range<usize>) -> bool {
        let Some(target) = self.anchors.get(&id).cloned() else {
            let name = self.text.get(range.clone()).unwrap_or("*").to_owned();
            self.fault(
                range.clone(),
                codes::ANCHOR,
                format!("`{name}` stands inside the value it refers to"),
            );
            self.place(leaf(Value::Null, range), 0);
            return true;
        };
        self.nodes = self.nodes.saturating_add(target.weight);
        if self.nodes > self.limits.nodes || self.frames.len() + target.height > self.limits.depth {
            let message = format!(
                "with its aliases written out the text has more than {} values or {} levels",
                self.limits.nodes, self.limits.depth
            );
            self.fault(range, codes::LIMIT, message);
            return false;
        }
        if self.awaits_key() {
            match &target.content {
                RawContent::Scalar(Value::String(name)) => {
                    self.set_key(Key::Named(name.clone(), range))
                }
                _ => self.complex_key(range),
            }
        } else {
            self.place_shared(target);
        }
        true
    }

    fn unknown_alias(&mut self, name: &str, range: Range<usize>) {
        let fault = self.fault(
            range.clone(),
            codes::ANCHOR,
            format!(
                "`*{name}` refers to an anchor `&{name}` that this document does not set before it"
            ),
        );
        fault.help(format!("if `*{name}` is meant as text, put it in quotes: \"*{name}\""));
        self.place(leaf(Value::String(format!("*{name}")), range), 0);
    }

    fn complex_key(&mut self, range: Range<usize>) {
        let template = self.text.get(range.clone()).is_some_and(|text| text.starts_with('{'))
            && self.text[..range.start].ends_with('{');
        let fault = self.fault(
            range,
            codes::KEY,
            "a list or mapping stands where a key is expected; the keys of an object are texts"
                .into(),
        );
        if template {
            fault.help("`{{ … }}` looks like a template: render it first (`helm template`), then check the result");
        }
        self.set_key(Key::Unusable);
    }

    fn place(&mut self, node: RawNode, anchor: usize) {
        let node = Arc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        if self.awaits_key() {
            return self.complex_key(node.range.clone());
        }
        self.place_shared(node);
    }

    fn place_shared(&mut self, node: Arc<RawNode>) {
        let map = match self.frames.last_mut() {
            None => {
                self.root = Some(node);
                return;
            }
            Some(Frame::List { items, .. }) => {
                items.push(node);
                return;
            }
            Some(Frame::Map(map)) => map,
        };
        match map.key.take() {
            Some(Key::Merge(range)) => map.merges.push((range, node)),
            Some(Key::Named(key, key_range)) => {
                if let Some(first) = map.seen.get(&key) {
                    let (first, message) =
                        (first.clone(), format!("the key `{key}` stands twice in this mapping"));
                    self.fault(key_range, codes::DUPLICATE_KEY, message).earlier(first);
                    return;
                }
                map.seen.insert(key.clone(), key_range.clone());
                map.entries.push(RawEntry { key, key_range, value: node });
            }
            Some(Key::Unusable) | None => {}
        }
    }
}

enum Tagged {
    Plain(Plain),
    Decoded(String),
}

fn leaf(value: Value, range: Range<usize>) -> RawNode {
    RawNode { range, content: RawContent::Scalar(value), weight: 1, height: 1 }
}

/// The bytes of an event without the line end after it, which the parser counts to block scalars.
fn mark_range(mark: &Mark, text: &str) -> Range<usize> {
    let range = mark.byte_range().unwrap_or(0..0);
    let Some(slice) = text.get(range.clone()) else {
        return range.start.min(text.len())..range.start.min(text.len());
    };
    range.start..range.start + slice.trim_end_matches(['\n', '\r', ' ', '\t']).len()
}
