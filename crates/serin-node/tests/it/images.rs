//! Images that were loaded from archives.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::world::World;

/// Two layers: the host's shell and what it needs, and one that adds and removes.
pub(crate) fn layers(folder: &Path) -> [PathBuf; 2] {
    let root = folder.join("root");
    let shell = Path::new("/bin/sh").canonicalize().unwrap();
    let needs = Command::new("ldd").arg(&shell).output().unwrap();
    let needs = String::from_utf8(needs.stdout).unwrap();
    let mut files = vec![shell];
    files.extend(needs.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from));
    for file in files {
        let target = root.join(file.strip_prefix("/").unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, &target).unwrap();
    }
    std::fs::create_dir_all(root.join("etc")).unwrap();
    std::fs::write(root.join("etc/gone"), "").unwrap();
    let second = folder.join("second");
    std::fs::create_dir_all(second.join("etc")).unwrap();
    std::fs::write(second.join("etc/.wh.gone"), "").unwrap();
    std::fs::write(second.join("etc/passwd"), "app:x:0:0::/srv/app:/bin/sh\n").unwrap();
    let save = folder.join("save");
    std::fs::create_dir_all(&save).unwrap();
    tar(&save.join("1.tar"), &root);
    tar(&save.join("2.tar"), &second);
    [save.join("1.tar"), save.join("2.tar")]
}

fn tar(to: &Path, from: &Path) {
    let mut builder = tar::Builder::new(std::fs::File::create(to).unwrap());
    builder.append_dir_all(".", from).unwrap();
    builder.finish().unwrap();
}

/// What runs in them.
pub(crate) fn configuration() -> Value {
    let shell = Path::new("/bin/sh").canonicalize().unwrap();
    json!({
        "config": {
            "Entrypoint": [shell, "-c"],
            "Cmd": ["echo $GREETING $HOME $PWD; test -e /etc/gone || echo gone; test -e /usr/bin/env || echo alone"],
            "Env": ["GREETING=hello"],
            "User": "app",
            "WorkingDir": "/opt/folder",
        },
    })
}

/// An archive as `docker save` writes it.
fn archive(folder: &Path) -> PathBuf {
    layers(folder);
    let save = folder.join("save");
    std::fs::write(save.join("config.json"), configuration().to_string()).unwrap();
    let manifest = json!([{
        "Config": "config.json", "RepoTags": ["shop/greeter:1"], "Layers": ["1.tar", "2.tar"],
    }]);
    std::fs::write(save.join("manifest.json"), manifest.to_string()).unwrap();
    let archive = folder.join("image.tar");
    tar(&archive, &save);
    archive
}

#[tokio::test]
async fn a_loaded_image_runs_in_its_own_files_as_it_says() {
    let Some(world) = World::start().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let names = serin_node::load_image(world.folder.path(), &archive(folder.path()), None).unwrap();
    assert_eq!(names, ["shop/greeter:1"]);
    let pod = world
        .create(json!({
            "metadata": {"name": "own"},
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "main", "image": "docker.io/shop/greeter:1"}],
            },
        }))
        .await;
    assert_eq!(world.over("own").await, "Succeeded", "{}", world.log(&pod, "main", 0));
    assert_eq!(world.log(&pod, "main", 0), "hello /srv/app /opt/folder\ngone\nalone");
}
