//! A rough reading of a broken document, line by line: which lines hold keys and list items at which column, where
//! quotes and brackets are open. It never fails, and serves only to say what an author probably meant.

/// A line of a text.
pub(super) struct Line<'t> {
    /// Byte offset of the line's first character.
    pub(super) start: usize,
    /// The line without its end.
    pub(super) text: &'t str,
    /// What the line holds.
    pub(super) role: Role,
    /// What the line begins with, outermost first: `- - key:` has three marks.
    pub(super) marks: Vec<Mark>,
}

/// What a line is to the structure of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Nothing but spaces, a comment, or a document marker.
    Empty,
    /// Keys, items or values.
    Content,
    /// The inside of a text or of brackets that began on an earlier line.
    Inside,
}

/// The beginning of a list item, key or other value, with its column in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// `- `
    Item { column: usize },
    /// `key:`; `value` is where its value begins in the line, if it stands there.
    Key { column: usize, value: Option<usize> },
    /// Anything else.
    Text { column: usize },
}

impl Mark {
    pub(super) const fn column(self) -> usize {
        match self {
            Self::Item { column } | Self::Key { column, .. } | Self::Text { column } => column,
        }
    }
}

/// A list or mapping that is open before some line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) column: usize,
    pub(super) list: bool,
    /// Index of the line it begins on.
    pub(super) first: usize,
    /// Index of the line of its latest item or key.
    pub(super) last: usize,
}

/// An opening quote or bracket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) character: char,
    /// Byte offset in the text.
    pub(super) offset: usize,
}

/// The lines of a document.
pub(super) struct Outline<'t> {
    pub(super) lines: Vec<Line<'t>>,
}

impl<'t> Outline<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let mut reader = Reader::default();
        let mut lines = Vec::new();
        let mut start = 0;
        for whole in text.split_inclusive('\n') {
            let line = whole.trim_end_matches(['\n', '\r']);
            lines.push(reader.line(start, line));
            start += whole.len();
        }
        Self { lines }
    }

    /// Index of the line that holds the byte at `offset`.
    pub(super) fn line_at(&self, offset: usize) -> usize {
        self.lines.partition_point(|line| line.start <= offset).saturating_sub(1)
    }

    /// The lists and mappings open after the lines before `end`, outermost first.
    pub(super) fn levels_before(&self, end: usize) -> Vec<Level> {
        let mut levels: Vec<Level> = Vec::new();
        for (index, line) in self.lines.iter().enumerate().take(end) {
            if line.role != Role::Content {
                continue;
            }
            let column = line.marks.first().map_or(0, |mark| mark.column());
            while levels.last().is_some_and(|level| level.column > column) {
                levels.pop();
            }
            for mark in &line.marks {
                enter(&mut levels, *mark, index);
            }
        }
        levels
    }

    /// The nearest line with content before `index`.
    pub(super) fn content_before(&self, index: usize) -> Option<usize> {
        (0..index.min(self.lines.len())).rev().find(|&at| self.lines[at].role == Role::Content)
    }

    /// Quotes and brackets open at the end of line `index`, outermost first.
    pub(super) fn open_after(&self, index: usize) -> Vec<Opening> {
        let mut reader = Reader::default();
        for line in self.lines.iter().take(index + 1) {
            reader.line(line.start, line.text);
        }
        reader.brackets.into_iter().chain(reader.quote).collect()
    }
}

fn enter(levels: &mut Vec<Level>, mark: Mark, line: usize) {
    let (column, list) = match mark {
        Mark::Item { column } => (column, true),
        Mark::Key { column, .. } => (column, false),
        Mark::Text { .. } => return,
    };
    // A list may stand at the column of the key it belongs to; the next key there ends it.
    if !list && levels.last().is_some_and(|top| top.list && top.column == column) {
        levels.pop();
    }
    match levels.last_mut() {
        Some(top) if top.column == column && top.list == list => top.last = line,
        _ => levels.push(Level { column, list, first: line, last: line }),
    }
}

/// Reads lines one after the other.
#[derive(Default)]
struct Reader {
    quote: Option<Opening>,
    brackets: Vec<Opening>,
    /// The column that the lines of a block text (`|`, `>`) are indented beyond.
    block: Option<usize>,
}

impl Reader {
    fn line<'t>(&mut self, start: usize, text: &'t str) -> Line<'t> {
        let trimmed = text.trim_start_matches(' ');
        let indent = text.len() - trimmed.len();
        if self.block.is_some_and(|block| trimmed.is_empty() || indent > block) {
            return Line { start, text, role: Role::Inside, marks: Vec::new() };
        }
        self.block = None;
        if self.quote.is_some() || !self.brackets.is_empty() {
            self.scan(start, text, 0);
            return Line { start, text, role: Role::Inside, marks: Vec::new() };
        }
        let marker = text.starts_with("---") || text.starts_with("...");
        if trimmed.trim().is_empty() || trimmed.starts_with('#') || marker {
            return Line { start, text, role: Role::Empty, marks: Vec::new() };
        }
        let marks = marks(text, indent);
        self.begin_block(text, &marks);
        if self.block.is_none() {
            self.scan(start, text, indent);
        }
        Line { start, text, role: Role::Content, marks }
    }

    fn begin_block(&mut self, text: &str, marks: &[Mark]) {
        let (column, value) = match marks {
            [.., Mark::Key { column, value: Some(value) }] => (*column, *value),
            [.., Mark::Item { column: item }, Mark::Text { column }] => (*item, *column),
            _ => return,
        };
        let header = text[value..].split_whitespace().find(|word| !word.starts_with(['!', '&']));
        let is_header = header.is_some_and(|word| {
            word.starts_with(['|', '>'])
                && word[1..].chars().all(|c| c.is_ascii_digit() || matches!(c, '+' | '-'))
        });
        self.block = is_header.then_some(column);
    }

    /// Follows quotes and brackets from byte `from` of a line to its end.
    fn scan(&mut self, start: usize, text: &str, from: usize) {
        let mut fresh = true;
        let mut chars = text.char_indices().skip_while(|&(at, _)| at < from).peekable();
        while let Some((at, c)) = chars.next() {
            let offset = start + at;
            match (self.quote, c) {
                (Some(Opening { character: '"', .. }), '\\') => {
                    chars.next();
                }
                (Some(Opening { character: '\'', .. }), '\'')
                    if chars.peek().is_some_and(|&(_, next)| next == '\'') =>
                {
                    chars.next();
                }
                (Some(open), _) if c == open.character => self.quote = None,
                (Some(_), _) => {}
                (None, '#') if at == 0 || text[..at].ends_with([' ', '\t']) => return,
                (None, '"' | '\'') if fresh => self.quote = Some(Opening { character: c, offset }),
                (None, '[' | '{') if fresh || !self.brackets.is_empty() => {
                    self.brackets.push(Opening { character: c, offset });
                }
                (None, ']' | '}') => {
                    self.brackets.pop();
                }
                (None, _) => {}
            }
            let separates = matches!(c, ' ' | '\t')
                && (fresh || text[..at].ends_with([':', '-', ',', '?', '[', '{']));
            let opens = !self.brackets.is_empty() && matches!(c, '[' | '{' | ',' | ':');
            fresh = self.quote.is_none() && (separates || opens);
        }
    }
}

/// What a line with content begins with.
fn marks(text: &str, indent: usize) -> Vec<Mark> {
    let mut marks = Vec::new();
    let mut column = indent;
    loop {
        let rest = &text[column..];
        if rest == "-" || rest.starts_with("- ") {
            marks.push(Mark::Item { column });
            column += 1 + rest[1..].len() - rest[1..].trim_start_matches(' ').len();
            if column < text.len() && !text[column..].starts_with('#') {
                continue;
            }
        } else if let Some(colon) = key_end(rest) {
            let after = column + colon + 1;
            let value = text[after..].find(|c: char| !c.is_whitespace()).map(|skip| after + skip);
            let value = value.filter(|&value| !text[value..].starts_with('#'));
            marks.push(Mark::Key { column, value });
        } else {
            marks.push(Mark::Text { column });
        }
        return marks;
    }
}

/// Where the colon stands that makes the beginning of `text` a key.
pub(super) fn key_end(text: &str) -> Option<usize> {
    let from = match text.chars().next()? {
        quote @ ('"' | '\'') => 2 + text[1..].find(quote)?,
        '[' | '{' | '#' | '&' | '*' | '!' | '|' | '>' | '%' | '@' | '`' => return None,
        _ => 0,
    };
    let quoted = from > 0;
    for (at, _) in text[from..].match_indices(':') {
        let (before, after) = (&text[from..from + at], &text[from + at + 1..]);
        if before.contains(" #") || (quoted && !before.trim().is_empty()) {
            return None;
        }
        if after.is_empty() || after.starts_with([' ', '\t']) {
            return Some(from + at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(text: &str) -> Vec<(usize, bool, usize)> {
        let outline = Outline::new(text);
        let levels = outline.levels_before(outline.lines.len());
        levels.into_iter().map(|level| (level.column, level.list, level.first)).collect()
    }

    #[test]
    fn levels_follow_items_and_keys() {
        assert_eq!(
            levels("spec:\n  http:\n    - route:\n        - host: a\n      match:\n"),
            [(0, false, 0), (2, false, 1), (4, true, 2), (6, false, 2)]
        );
        assert_eq!(levels("spec:\n- a\n- b\nmore: 1\n"), [(0, false, 0)]);
        assert_eq!(levels("a: |\n  - x\n  y: z\nb:\n  c: 1\n"), [(0, false, 0), (2, false, 4)]);
        assert_eq!(levels("a: [\n- x,\n y: z ]\nb: '\n c: d'\n"), [(0, false, 0)]);
    }

    #[test]
    fn open_quotes_and_brackets_are_found() {
        let open = |text: &str| {
            let outline = Outline::new(text);
            let open = outline.open_after(outline.lines.len());
            open.into_iter().map(|opening| (opening.character, opening.offset)).collect::<Vec<_>>()
        };
        assert_eq!(open("a: \"b\nc: 1\n"), [('"', 3)]);
        assert_eq!(open("a: [b, {c: d\n"), [('[', 3), ('{', 7)]);
        assert_eq!(open("a: it's [fine]\nb: \"\\\"\" # \"\n"), []);
        assert_eq!(open("a: 'it''s'\n- 'b'\n"), []);
    }
}
