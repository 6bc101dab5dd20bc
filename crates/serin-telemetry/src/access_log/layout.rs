//! What a line of an access log holds.

use serde_json::Value;
use serin_routing::format::{Facts, Format};

/// Istio's default for text.
const TEXT: &str = concat!(
    "[%START_TIME%] \"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%\" %RESPONSE_CODE% ",
    "%RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% ",
    "\"%UPSTREAM_TRANSPORT_FAILURE_REASON%\" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% ",
    "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% \"%REQ(X-FORWARDED-FOR)%\" \"%REQ(USER-AGENT)%\" ",
    "\"%REQ(X-REQUEST-ID)%\" \"%REQ(:AUTHORITY)%\" \"%UPSTREAM_HOST%\" %UPSTREAM_CLUSTER_RAW% ",
    "%UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% ",
    "%REQUESTED_SERVER_NAME% %ROUTE_NAME%\n"
);

/// Istio's default for JSON.
const JSON: [(&str, &str); 24] = [
    ("start_time", "%START_TIME%"),
    ("route_name", "%ROUTE_NAME%"),
    ("method", "%REQ(:METHOD)%"),
    ("path", "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%"),
    ("protocol", "%PROTOCOL%"),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", "%REQ(X-FORWARDED-FOR)%"),
    ("user_agent", "%REQ(USER-AGENT)%"),
    ("request_id", "%REQ(X-REQUEST-ID)%"),
    ("authority", "%REQ(:AUTHORITY)%"),
    ("upstream_host", "%UPSTREAM_HOST%"),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("upstream_transport_failure_reason", "%UPSTREAM_TRANSPORT_FAILURE_REASON%"),
];

/// Formats that are numbers in JSON when they stand alone.
const NUMBERS: [&str; 11] = [
    "%RESPONSE_CODE%",
    "%BYTES_RECEIVED%",
    "%BYTES_SENT%",
    "%DURATION%",
    "%GRPC_STATUS_NUMBER%",
    "%REQUEST_DURATION%",
    "%REQUEST_HEADERS_BYTES%",
    "%RESPONSE_DURATION%",
    "%RESPONSE_HEADERS_BYTES%",
    "%RESPONSE_TX_DURATION%",
    "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
];

/// What stands for a value that is not there.
const MISSING: &str = "-";

/// The form of a line.
#[derive(Clone, Debug)]
pub struct Layout(Form);

#[derive(Clone, Debug)]
enum Form {
    Text(Format),
    Json(Vec<Field>),
}

#[derive(Clone, Debug)]
struct Field {
    /// As JSON, with its quotes.
    name: String,
    format: Format,
    is_number: bool,
}

impl Layout {
    /// Text by a format string; Istio's default if it is empty.
    pub fn text(format: &str) -> Self {
        let format = if format.is_empty() { TEXT } else { format };
        // Every line ends by itself.
        Self(Form::Text(Format::parse(format.strip_suffix('\n').unwrap_or(format))))
    }

    /// A JSON object whose values are format strings; Istio's default if there are none.
    pub fn json(fields: &[(String, String)]) -> Self {
        let field = |name: &str, format: &str| Field {
            name: Value::from(name).to_string(),
            format: Format::parse(format),
            is_number: NUMBERS.contains(&format),
        };
        if fields.is_empty() {
            return Self(Form::Json(JSON.iter().map(|(name, it)| field(name, it)).collect()));
        }
        Self(Form::Json(fields.iter().map(|(name, it)| field(name, it)).collect()))
    }

    /// Operators that are not known, as written.
    pub fn unknown(&self) -> impl Iterator<Item = &str> {
        let (text, fields) = match &self.0 {
            Form::Text(format) => (Some(format), &[][..]),
            Form::Json(fields) => (None, fields.as_slice()),
        };
        text.into_iter().chain(fields.iter().map(|it| &it.format)).flat_map(Format::unknown)
    }

    /// Appends a line without its end.
    pub(super) fn append<F: Facts>(&self, facts: &F, out: &mut Vec<u8>) {
        let fields = match &self.0 {
            Form::Text(format) => {
                let start = out.len();
                format.render(facts, MISSING, out);
                // A header may hold what would begin another line.
                out.iter_mut().skip(start).filter(|byte| **byte == b'\n').for_each(|it| *it = b' ');
                return;
            }
            Form::Json(fields) => fields,
        };
        let mut value = Vec::new();
        for (number, field) in fields.iter().enumerate() {
            out.extend_from_slice(if number == 0 { b"{" } else { b"," });
            out.extend_from_slice(field.name.as_bytes());
            out.push(b':');
            value.clear();
            field.format.render(facts, MISSING, &mut value);
            if value == MISSING.as_bytes() {
                out.extend_from_slice(b"null");
            } else if field.is_number {
                out.extend_from_slice(&value);
            } else {
                let text = Value::from(String::from_utf8_lossy(&value)).to_string();
                out.extend_from_slice(text.as_bytes());
            }
        }
        out.push(b'}');
    }
}

#[cfg(test)]
mod tests {
    use serin_routing::format::Property;

    use super::*;

    struct Example;

    impl Facts for Example {
        fn request_header(&self, name: &str) -> Option<&[u8]> {
            match name {
                ":method" => Some(b"GET"),
                ":path" => Some(b"/a"),
                "user-agent" => Some(b"a\"b\nc"),
                _ => None,
            }
        }

        fn append(&self, property: Property, out: &mut Vec<u8>) -> bool {
            match property {
                Property::ResponseCode => out.extend_from_slice(b"200"),
                Property::ResponseFlags => out.extend_from_slice(b"-"),
                _ => return false,
            }
            true
        }
    }

    fn line(layout: &Layout) -> String {
        let mut out = Vec::new();
        layout.append(&Example, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_text_has_a_dash_for_what_is_missing_and_is_one_line() {
        let layout = Layout::text("%REQ(:METHOD)% %ROUTE_NAME% %REQ(USER-AGENT)%\n");
        assert_eq!(line(&layout), "GET - a\"b c");
        insta::assert_snapshot!(line(&Layout::text("")), @r#"[-] "GET /a -" 200 - - - "-" - - - - "-" "a"b c" "-" "-" "-" - - - - - -"#);
    }

    #[test]
    fn what_is_no_operator_is_told() {
        let unknown = |layout: &Layout| layout.unknown().collect::<Vec<_>>().join(" ");
        assert_eq!(unknown(&Layout::text("%PROTOCOL% %PROTOKOL% 100%")), "%PROTOKOL% %");
        let field = ("a".to_owned(), "%REQ()%".to_owned());
        assert_eq!(unknown(&Layout::json(&[field])), "%REQ()%");
        assert_eq!(unknown(&Layout::text("")), "");
    }

    #[test]
    fn json_has_numbers_and_null() {
        let fields = [
            ("code", "%RESPONSE_CODE%"),
            ("agent", "%REQ(USER-AGENT)%"),
            ("route", "%ROUTE_NAME%"),
            ("both", "%RESPONSE_CODE%%RESPONSE_CODE%"),
        ];
        let layout = Layout::json(&fields.map(|(name, it)| (name.to_owned(), it.to_owned())));
        assert_eq!(line(&layout), r#"{"code":200,"agent":"a\"b\nc","route":null,"both":"200200"}"#);
    }

    #[test]
    fn json_has_the_fields_of_istio_by_default() {
        let value: Value = serde_json::from_str(&line(&Layout::json(&[]))).unwrap();
        assert_eq!(value.as_object().unwrap().len(), 24);
        assert_eq!(value["response_code"], 200);
    }
}
