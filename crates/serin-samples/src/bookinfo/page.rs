//! The bookshop's pages as HTML: no file from elsewhere, readable without the script.

use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;

use super::productpage::Fetched;

const STYLE: &str = include_str!("page/style.css");
const SCRIPT: &str = include_str!("page/script.js");
const COVER: &str = include_str!("page/cover.svg");
const MARK: &str = include_str!("page/mark.svg");
/// Most stars there can be.
const MAX_STARS: i64 = 5;

/// What the page of a book shows.
pub(super) struct Page<'a> {
    pub(super) user: Option<&'a str>,
    pub(super) product: &'a Value,
    pub(super) details: &'a Fetched,
    pub(super) reviews: &'a Fetched,
    pub(super) instance: &'a str,
}

/// Which version of reviews it was, as far as its answer tells.
struct Edition {
    /// `v2`, or what stands out in its place.
    name: String,
    /// `black stars`.
    looks: &'static str,
    /// The class of the style sheet, which is also what the script counts by.
    class: &'static str,
}

impl Page<'_> {
    /// The whole document.
    pub(super) fn render(&self) -> String {
        let title = text(&self.product["title"]);
        let description = text(&self.product["descriptionHtml"]);
        let edition = edition(&self.reviews.body);
        let main = format!(
            "<main class=\"book\" data-edition=\"{class}\" data-name=\"{name}\">\n\
             <aside>{COVER}{details}</aside>\n\
             <article><p class=\"kicker\">Book of the day</p><h1>{title}</h1>\
             <p class=\"lead\">{description}</p>\n{reviews}</article>\n\
             {answered}\n{meter}</main>",
            class = edition.class,
            name = edition.name,
            details = self.details(),
            reviews = self.reviews(&edition),
            answered = self.answered(&edition),
            meter = meter(),
        );
        document(&title, &self.account(), &main, SCRIPT)
    }

    fn account(&self) -> String {
        match self.user {
            Some(user) => format!(
                "<p class=\"account\">Signed in as <strong>{}</strong> <a class=\"button\" href=\"/logout\">Sign out</a></p>",
                escape(user)
            ),
            None => "<form class=\"account\" method=\"post\" action=\"/login\">\
                     <label>Any name, no password <input name=\"username\" maxlength=\"64\" placeholder=\"jason\" \
                     autocomplete=\"username\" required></label> <button>Sign in</button></form>"
                .to_owned(),
        }
    }

    fn details(&self) -> String {
        let rows = [
            ("Author", "author"),
            ("Year", "year"),
            ("Type", "type"),
            ("Pages", "pages"),
            ("Publisher", "publisher"),
            ("Language", "language"),
            ("ISBN-10", "ISBN-10"),
            ("ISBN-13", "ISBN-13"),
        ];
        if !self.details.is_ok() {
            return trouble("The details are missing", self.details);
        }
        let mut list = "<dl>".to_owned();
        for (label, field) in rows {
            let value = text(&self.details.body[field]);
            if !value.is_empty() {
                let _ = write!(list, "<div><dt>{label}</dt><dd>{value}</dd></div>");
            }
        }
        list + "</dl>"
    }

    fn reviews(&self, edition: &Edition) -> String {
        let mut section = "<section class=\"reviews\"><h2>What readers say".to_owned();
        if !self.reviews.is_ok() {
            let trouble = trouble("The reviews are missing", self.reviews);
            return format!("{section}</h2>{trouble}</section>");
        }
        let Edition { name, looks, class } = edition;
        let _ =
            write!(section, " <span class=\"badge {class}\">reviews {name} · {looks}</span></h2>");
        for review in self.reviews.body["reviews"].as_array().into_iter().flatten() {
            let (said, who) = (text(&review["text"]), text(&review["reviewer"]));
            let stars = stars(&review["rating"]);
            let _ = write!(
                section,
                "<figure><blockquote><p>{said}</p></blockquote><figcaption>{who}{stars}</figcaption></figure>"
            );
        }
        section + "</section>"
    }

    /// The way of the request, with what came back and how long it took.
    fn answered(&self, edition: &Edition) -> String {
        let pod = &self.reviews.body["podname"];
        let pod = if pod.is_string() { text(pod) } else { "nobody".to_owned() };
        let cluster = match text(&self.reviews.body["clustername"]) {
            name if name.is_empty() || name == "null" => String::new(),
            name => format!(" on {name}"),
        };
        let ratings = match edition.class {
            "plain" => ("skip", "not asked".to_owned()),
            "mute" => ("bad", "no answer".to_owned()),
            "none" => ("skip", "out of reach".to_owned()),
            _ => ("good", "answered".to_owned()),
        };
        let hop = |name: &str, (state, said): (&str, String), by: &str| {
            format!(
                "<li class=\"hop {state}\"><strong>{name}</strong><span>{said}</span><small>{by}</small></li>"
            )
        };
        let mut list = String::new();
        let instance = escape(self.instance);
        list += &hop("productpage", ("good", "this page".to_owned()), &instance);
        list += &hop("details", told(self.details), "asked by productpage");
        list += &hop("reviews", told(self.reviews), &format!("{pod}{cluster}"));
        list += &hop("ratings", ratings, "asked by reviews");
        format!("<section class=\"answered\"><h2>Who answered</h2><ol>{list}</ol></section>")
    }
}

/// The first page: what there is, and where.
pub(super) fn landing() -> String {
    let main = format!(
        "<main class=\"landing\">{COVER}<div><p class=\"kicker\">Four services, one book</p><h1>A bookshop to break</h1>\
         <p class=\"lead\">Small enough to understand, large enough to break: release a new version of one service and watch \
         what the page says.</p><p><a class=\"button\" href=\"/productpage\">Open the book</a></p>\
         <ul class=\"tree\"><li><strong>productpage</strong> this page, and the API\
         <ul><li><strong>details</strong> what is known about the book</li>\
         <li><strong>reviews</strong> v1 no stars, v2 black stars, v3 red stars\
         <ul><li><strong>ratings</strong> how many stars</li></ul></li></ul></li></ul></div></main>"
    );
    document("Bookshop", "", &main, "")
}

/// Where a visitor can ask for many answers and see who gives them.
const fn meter() -> &'static str {
    "<section class=\"meter\" hidden><h2>Who would answer next?</h2>\
     <p>Each reload is one draw. This asks reviews many times and counts.</p>\
     <p><button id=\"ask\">Ask 100 times</button> <output id=\"count\"></output></p>\
     <div id=\"bar\" class=\"bar\" role=\"img\" aria-label=\"shares of versions\"></div><ul id=\"legend\" class=\"legend\"></ul>\
     <h3>Your last reloads</h3><div id=\"past\" class=\"past\"></div></section>"
}

fn document(title: &str, account: &str, main: &str, script: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} · Bookshop</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header><a class=\"brand\" href=\"/productpage\">{MARK}<span>The Bookshop</span></a>{account}</header>\n{main}\n\
         <footer><p>Serin's stand-in for the Bookinfo sample. <a href=\"/api/v1/products\">API</a></p></footer>\n\
         <script>\n{script}</script>\n</body>\n</html>\n"
    )
}

/// Which version the reviews are of: by the pod's name if it says, and by the stars.
fn edition(reviews: &Value) -> Edition {
    let rating = &reviews["reviews"][0]["rating"];
    let (class, looks) = match rating["color"].as_str() {
        Some("black") => ("black", "black stars"),
        Some("red") => ("red", "red stars"),
        Some(_) => ("other", "coloured stars"),
        None if rating["error"].is_string() => ("mute", "stars out of reach"),
        None if reviews["reviews"].is_array() => ("plain", "no stars"),
        None => ("none", "no answer"),
    };
    let pod = reviews["podname"].as_str().unwrap_or_default();
    let is_version = |part: &&str| {
        part.strip_prefix('v')
            .is_some_and(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_digit()))
    };
    let guess = match class {
        "plain" => "v1",
        "black" => "v2",
        "red" => "v3",
        _ => "",
    };
    let name = pod.split('-').find(is_version).unwrap_or(guess);
    Edition { name: escape(name), looks, class }
}

fn stars(rating: &Value) -> String {
    if let Some(error) = rating["error"].as_str() {
        return format!("<span class=\"sorry\">{}</span>", escape(error));
    }
    let Some(given) = rating["stars"].as_i64() else { return String::new() };
    let given = given.clamp(0, MAX_STARS);
    let color = match rating["color"].as_str() {
        Some("black") => "black",
        Some("red") => "red",
        _ => "other",
    };
    let mut row =
        format!("<span class=\"stars {color}\" role=\"img\" aria-label=\"{given} of 5 stars\">");
    for place in 0..MAX_STARS {
        row += if place < given { "★" } else { "<i>★</i>" };
    }
    row + "</span>"
}

fn told(fetched: &Fetched) -> (&'static str, String) {
    let state = if fetched.is_ok() { "good" } else { "bad" };
    (state, format!("{} in {}", fetched.status.as_u16(), milliseconds(fetched.took)))
}

fn milliseconds(time: Duration) -> String {
    let time = time.as_secs_f64() * 1000.0;
    if time < 10.0 { format!("{time:.1} ms") } else { format!("{time:.0} ms") }
}

fn trouble(headline: &str, fetched: &Fetched) -> String {
    let status = fetched.status.as_u16();
    let sorry = text(&fetched.body["error"]);
    format!(
        "<div class=\"trouble\" role=\"alert\"><strong>{headline}</strong><p>{sorry}</p><small>status {status}</small></div>"
    )
}

/// A string or a number, safe to stand in a page.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => escape(text),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            letter => safe.push(letter),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_version_is_told_by_the_pod_and_else_by_the_stars() {
        let check = |pod: &str, rating: Value, expect: (&str, &str)| {
            let review = json!({ "reviewer": "a", "text": "b", "rating": rating });
            let edition = edition(&json!({ "podname": pod, "reviews": [review] }));
            assert_eq!((edition.name.as_str(), edition.looks), expect, "{pod}");
        };
        let red = || json!({ "stars": 5, "color": "red" });
        check("reviews-v3-c9c4fb987-nd9rr", red(), ("v3", "red stars"));
        check("reviews-primary-c9c4fb987-nd9rr", red(), ("v3", "red stars"));
        check("reviews-v1-569db879f5-7bszt", Value::Null, ("v1", "no stars"));
        check("reviews-v2-x-y", json!({ "error": "gone" }), ("v2", "stars out of reach"));
        check("reviews-abc", json!({ "error": "gone" }), ("", "stars out of reach"));
    }

    #[test]
    fn what_services_and_users_say_cannot_become_markup() {
        assert_eq!(escape("<b a='1'>&\""), "&lt;b a=&#39;1&#39;&gt;&amp;&quot;");
        let evil =
            json!({ "podname": "<script>", "reviews": [{ "text": "<i>", "reviewer": "<u>" }] });
        let fetched = |body| Fetched { status: http::StatusCode::OK, body, took: Duration::ZERO };
        let (details, reviews) = (fetched(json!({ "author": "<b>" })), fetched(evil));
        let product = json!({ "title": "T" });
        let page = Page {
            user: Some("<s>"),
            product: &product,
            details: &details,
            reviews: &reviews,
            instance: "<em>",
        };
        let page = page.render();
        for markup in ["<i>", "<u>", "<b>", "<s>", "<em>", "<script><"] {
            assert!(!page.contains(markup), "{markup}");
        }
    }
}
