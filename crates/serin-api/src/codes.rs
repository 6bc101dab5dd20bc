//! The codes of the findings that reading, schema validation and admission give, each with its meaning.
//!
//! `IST01..` are Istio's own, for what its admission says. `SRN00..` are about reading a text, `SRN01..` about the schema of a kind. The codes are stable: scripts and
//! suppressions name them.

use crate::{Code, CodeInfo, Severity};

macro_rules! codes {
    ($($name:ident = $code:literal $severity:ident $title:literal, $summary:literal;)+) => {
        $(#[doc = $summary] pub const $name: Code = Code($code);)+

        /// Every code of this module, in order.
        pub const ALL: &[CodeInfo] = &[$(CodeInfo {
            code: $name,
            severity: Severity::$severity,
            name: $title,
            summary: $summary,
        }),+];
    };
}

codes! {
    INVALID = "IST0106" Error "SchemaValidationError", "The object breaks a rule of its kind and is refused.";
    UNREACHABLE_RULE = "IST0130" Warning "VirtualServiceUnreachableRule", "A rule of a VirtualService never applies: earlier rules take its requests.";
    INEFFECTIVE_MATCH = "IST0131" Info "VirtualServiceIneffectiveMatch", "A condition of a VirtualService never decides: an earlier one takes its requests.";
    DUBIOUS = "IST0133" Warning "SchemaWarning", "Something is deprecated, without effect or probably a mistake.";
    SYNTAX = "SRN0001" Error "Syntax", "The text does not follow the grammar of YAML.";
    INDENTATION = "SRN0002" Error "Indentation", "A line is indented unlike the lines it belongs to.";
    TAB = "SRN0003" Error "Tab", "A line is indented with a tab.";
    ODD_SPACE = "SRN0004" Error "OddSpace", "A space is not an ordinary space.";
    NO_SPACE_AFTER_COLON = "SRN0005" Error "NoSpaceAfterColon", "The space between a key's colon and its value is missing.";
    UNCLOSED_QUOTE = "SRN0006" Error "UnclosedQuote", "A quoted text is not closed.";
    UNCLOSED_BRACKET = "SRN0007" Error "UnclosedBracket", "A bracket or brace is not closed, or closed by the wrong one.";
    NEEDS_QUOTES = "SRN0008" Error "NeedsQuotes", "A value has characters that mean something to YAML and needs quotes.";
    NO_COLON = "SRN0009" Error "NoColon", "A key has no colon.";
    TEMPLATE = "SRN0010" Error "Template", "The text is a template that was not rendered.";
    CONFLICT_MARKER = "SRN0011" Error "ConflictMarker", "The text holds the markers of a merge conflict.";
    DUPLICATE_KEY = "SRN0012" Error "DuplicateKey", "A key stands twice in one mapping.";
    KEY = "SRN0013" Error "Key", "A key cannot be the name of a field.";
    ANCHOR = "SRN0014" Error "Anchor", "An alias refers to nothing it can stand for.";
    TAG = "SRN0015" Error "Tag", "A tag does not fit its value.";
    NOT_JSON = "SRN0016" Error "NotJson", "A value cannot be written as JSON.";
    LIMIT = "SRN0017" Error "Limit", "The text is larger or deeper than the limits allow.";
    ENCODING = "SRN0018" Error "Encoding", "The bytes are not text in UTF-8 or UTF-16.";
    NOT_AN_OBJECT = "SRN0020" Error "NotAnObject", "A document is not a Kubernetes object.";
    NO_KIND = "SRN0021" Error "NoKind", "An object does not say its apiVersion or kind.";
    NO_NAME = "SRN0022" Error "NoName", "An object has no usable name or namespace.";
    UNKNOWN_KIND = "SRN0023" Info "UnknownKind", "A kind that Serin does not know and leaves alone.";
    UNKNOWN_VERSION = "SRN0024" Error "UnknownVersion", "A version in which the kind is not served.";
    ENVOY_ONLY = "SRN0025" Error "EnvoyOnly", "A kind that only an Envoy proxy can execute.";
    DUPLICATE_OBJECT = "SRN0026" Warning "DuplicateObject", "The same object is given twice.";
    SCHEMA_TYPE = "SRN0100" Error "SchemaType", "A value has the wrong type.";
    SCHEMA_REQUIRED = "SRN0101" Error "SchemaRequired", "A required value is missing.";
    SCHEMA_ENUM = "SRN0102" Error "SchemaEnum", "A value is none of the allowed ones.";
    SCHEMA_BOUNDS = "SRN0103" Error "SchemaBounds", "A number, text, list or mapping is too small or too large.";
    SCHEMA_FORMAT = "SRN0104" Error "SchemaFormat", "A text does not have the required form.";
    SCHEMA_DUPLICATE = "SRN0105" Error "SchemaDuplicate", "An element of a list stands in it twice.";
    SCHEMA_ALTERNATIVES = "SRN0106" Error "SchemaAlternatives", "A value fits none, or more than one, of its alternatives.";
    SCHEMA_RULE = "SRN0107" Error "SchemaRule", "A rule that the kind sets for its values does not hold.";
    UNKNOWN_FIELD = "SRN0108" Error "UnknownField", "A field that the kind does not have.";
    UNDECODABLE = "SRN0109" Error "Undecodable", "An object fits its schema but cannot be read as its kind.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_used_once_and_in_order() {
        assert!(ALL.windows(2).all(|pair| pair[0].code < pair[1].code));
    }
}
