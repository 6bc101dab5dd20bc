//! Images that were loaded from archives.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::world::World;

/// An archive as `docker save` writes it: the host's shell and what it needs, and a second layer that adds and removes.
fn archive(folder: &Path) -> PathBuf {
    let root = folder.join("root");
    let shell = Path::new("/bin/sh").canonicalize().unwrap();
    let needs = Command::new("ldd").arg(&shell).output().unwrap();
    let needs = String::from_utf8(needs.stdout).unwrap();
    let mut files = vec![shell.clone()];
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
    let tar = |name: &str, from: &Path| {
        let mut builder = tar::Builder::new(std::fs::File::create(folder.join(name)).unwrap());
        builder.append_dir_all(".", from).unwrap();
        builder.finish().unwrap();
    };
    let save = folder.join("save");
    std::fs::create_dir_all(&save).unwrap();
    tar("save/1.tar", &root);
    tar("save/2.tar", &second);
    let config = json!({
        "config": {
            "Entrypoint": [shell, "-c"],
            "Cmd": ["echo $GREETING $HOME $PWD; test -e /etc/gone || echo gone; test -e /usr/bin/env || echo alone"],
            "Env": ["GREETING=hello"],
            "User": "app",
            "WorkingDir": "/opt/folder",
        },
    });
    std::fs::write(save.join("config.json"), config.to_string()).unwrap();
    let manifest = json!([{
        "Config": "config.json", "RepoTags": ["shop/greeter:1"], "Layers": ["1.tar", "2.tar"],
    }]);
    std::fs::write(save.join("manifest.json"), manifest.to_string()).unwrap();
    tar("image.tar", &save);
    folder.join("image.tar")
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
