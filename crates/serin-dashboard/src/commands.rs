//! Commands to releases: an annotation of the Canary, which its controller obeys and then clears.

use std::sync::Arc;
use std::time::Duration;

use http::request::Parts;
use http::{Response, StatusCode};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use maud::html;
use serde_json::json;
use serin_api::Kind;
use serin_rollout::Phase;
use serin_rollout::facts::COMMAND;

use crate::answer::{self, Body};
use crate::layout;
use crate::objects;
use crate::page::Page;
use crate::releases::Release;
use crate::world::World;

/// The API must answer within this time.
const PATIENCE: Duration = Duration::from_secs(15);

/// What a release can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// As it stands in the annotation, and in paths.
    pub(crate) word: &'static str,
    /// The label of the button.
    pub(crate) label: &'static str,
    /// What happens then, in a sentence.
    pub(crate) effect: &'static str,
    /// Whether it ends the release.
    pub(crate) is_grave: bool,
}

/// Every command.
const COMMANDS: [Command; 5] = [
    Command {
        word: "promote",
        label: "Promote",
        effect: "The new version is promoted now, without any further check. All users get it.",
        is_grave: true,
    },
    Command {
        word: "hold",
        label: "Hold",
        effect: "The release stays at its present share. It is still watched, and goes back if the new version fails.",
        is_grave: false,
    },
    Command {
        word: "resume",
        label: "Resume",
        effect: "The release goes on from where it is held.",
        is_grave: false,
    },
    Command {
        word: "abort",
        label: "Abort",
        effect: "All users get the version before, at once. The new version is scaled down.",
        is_grave: true,
    },
    Command {
        word: "restart",
        label: "Try again",
        effect: "The same new version is released once more, from the beginning.",
        is_grave: false,
    },
];

impl Command {
    /// The command of a word.
    pub(crate) fn of(word: &str) -> Option<Self> {
        COMMANDS.into_iter().find(|it| it.word == word)
    }

    /// What a release can be told as it is.
    pub(crate) fn for_release(release: &Release) -> Vec<Self> {
        let facts = &release.facts;
        let words: &[&str] = match facts.phase {
            Phase::Failed => &["restart"],
            phase if phase.is_running() && facts.held => &["promote", "resume", "abort"],
            phase if phase.is_running() => &["promote", "hold", "abort"],
            _ => &[],
        };
        words.iter().filter_map(|word| Self::of(word)).collect()
    }
}

/// Does what a form asks for: `POST /releases/NAMESPACE/NAME/COMMAND`.
pub(crate) async fn obey(world: &Arc<World>, head: &Parts) -> Response<Body> {
    let page = Page::parse(head.uri.path(), "");
    let ["releases", namespace, name, word] = page.parts()[..] else {
        return layout::bare(StatusCode::NOT_FOUND, "Nothing is there", &html! {});
    };
    let release = Release::find(&world.objects, namespace, name);
    let (Some(release), Some(command)) = (release, Command::of(word)) else {
        return layout::bare(StatusCode::NOT_FOUND, "There is no such release", &html! {});
    };
    let told = tokio::time::timeout(PATIENCE, tell(world, &release, command)).await;
    let why = match told {
        Ok(Ok(())) => return answer::redirect(&release.link(), None),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the API does not answer".to_owned(),
    };
    let content = html! {
        p { (why) }
        p { a href=(release.link()) { "Back to the release" } }
    };
    layout::bare(StatusCode::BAD_GATEWAY, "The command could not be given", &content)
}

async fn tell(world: &World, release: &Release, command: Command) -> kube::Result<()> {
    let kind = Kind::find(release.group(), "Canary");
    let Some(kind) = kind else { return Ok(()) };
    let resource = objects::resource(kind);
    let api: Api<DynamicObject> =
        Api::namespaced_with(world.client.clone(), &release.facts.namespace, &resource);
    // The time tells this command from the same one given before.
    let text = format!("{}@{}", command.word, Timestamp::now().as_millisecond());
    let patch = json!({"metadata": {"annotations": {COMMAND: text}}});
    let parameters =
        PatchParams { field_manager: Some("serin-dashboard".into()), ..PatchParams::default() };
    api.patch(&release.facts.name, &parameters, &Patch::Merge(patch)).await?;
    Ok(())
}
