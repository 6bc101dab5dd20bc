//! What readers say: version 1 without stars, version 2 with black ones, version 3 with red ones.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use super::{PASSED_ON, id_of, service};
use crate::environment::Environment;
use crate::message::{Call, Reply, json as json_reply, not_found};
use crate::sample::BadSample;
use crate::upstream::Upstream;

/// Reviewers and what they say.
const REVIEWS: [(&str, &str); 2] = [
    (
        "Reviewer1",
        "I lost count of the twins in the second act and did not mind at all. It is quick, \
     silly and kind, and it ends with everybody found.",
    ),
    (
        "Reviewer2",
        "Great fun on a stage, a little thin on the page. Come for the mistaken identities, do not \
     stay for the philosophy.",
    ),
];

/// The service in one of its versions.
#[derive(Debug)]
pub(crate) struct Reviews {
    /// Who is asked for stars, and their colour; `None` gives no stars.
    ratings: Option<(Upstream, String)>,
    podname: String,
    clustername: String,
}

impl Reviews {
    pub(crate) fn new(environment: &Environment) -> Result<Self, BadSample> {
        let version = environment.version("SERVICE_VERSION").unwrap_or("v1");
        let has_stars = environment.is_true("ENABLE_RATINGS").unwrap_or(version != "v1");
        let usual = if version == "v3" { "red" } else { "black" };
        let color = environment.get("STAR_COLOR").unwrap_or(usual).to_owned();
        // Patience with ratings differs, as in the original: a delay of some seconds breaks one version only.
        let patience = if color == "black" { 10_000 } else { 2_500 };
        let ratings = service(environment, "ratings", Duration::from_millis(patience))?;
        Ok(Self {
            ratings: has_stars.then_some((ratings, color)),
            podname: environment.instance(),
            clustername: environment.get("CLUSTER_NAME").unwrap_or("null").to_owned(),
        })
    }

    pub(crate) async fn answer(&self, call: &Call) -> Reply {
        let id = call.path().strip_prefix("/reviews/").and(id_of(call.path()));
        let Some(id) = id else { return not_found() };
        let stars = match &self.ratings {
            Some((ratings, color)) => {
                let given = ask(ratings, id, call.pick(PASSED_ON)).await;
                Some((given, color))
            }
            None => None,
        };
        let reviews = REVIEWS.map(|(reviewer, text)| {
            let mut review = json!({ "reviewer": reviewer, "text": text });
            if let Some((given, color)) = &stars {
                review["rating"] = match given.as_ref().and_then(|it| it[reviewer].as_i64()) {
                    Some(stars) => json!({ "stars": stars, "color": color }),
                    None => json!({ "error": "Ratings service is currently unavailable" }),
                };
            }
            review
        });
        let answer = json!({
            "id": id.to_string(),
            "podname": self.podname,
            "clustername": self.clustername,
            "reviews": reviews,
        });
        json_reply(StatusCode::OK, &answer)
    }
}

/// The stars by reviewer, if ratings has an answer.
async fn ask(ratings: &Upstream, id: i64, headers: HeaderMap) -> Option<Value> {
    let answer = ratings.get(&format!("/ratings/{id}"), headers).await.ok()?;
    let answer = (answer.status == StatusCode::OK).then_some(answer.body)?;
    let mut answer: Value = serde_json::from_slice(&answer).ok()?;
    Some(answer["ratings"].take())
}
