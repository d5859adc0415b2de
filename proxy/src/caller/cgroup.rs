/// Where a process belongs, by the part of its cgroup path that only the system's own manager can name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Membership {
    /// systemd unit, such as `restic.service`. Units of a user's own manager all are `user@UID.service`: the user chooses their names.
    pub(super) unit: Option<String>,
    /// Container id, 64 hexadecimal digits.
    pub(super) container: Option<String>,
}

const CONTAINER_ID_LENGTH: usize = 64;

/// Reads `/proc/PID/cgroup`, cgroups(7): the unified hierarchy first, then systemd's own, then the memory controller's.
///
/// A process may make cgroups of any name below the one that it was given, so only the outermost name counts. Paths that lead out of our
/// own cgroup namespace (`/..`) do not say where they begin: a unit is then not believed.
pub(super) fn parse(text: &str) -> Membership {
    let paths = || text.lines().filter_map(|line| line.split_once(':').and_then(|(_, rest)| rest.split_once(':')));
    [
        |controllers: &str| controllers.is_empty(),
        |controllers: &str| controllers == "name=systemd",
        |controllers: &str| controllers == "memory",
    ]
    .into_iter()
    .filter_map(|wanted| paths().find(|(controllers, _)| wanted(controllers)))
    .map(|(_, path)| of_path(path))
    .find(|membership| *membership != Membership::default())
    .unwrap_or_default()
}

fn of_path(path: &str) -> Membership {
    let mut unit_counts = true;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        if let Some(id) = container_id(name) {
            return Membership { unit: None, container: Some(id.to_owned()) };
        }
        if name.ends_with(".slice") {
            continue;
        }
        if name.ends_with(".service") || name.ends_with(".scope") {
            return Membership { unit: unit_counts.then(|| name.to_owned()), container: None };
        }
        unit_counts = false;
    }
    Membership::default()
}

/// The id in `ID`, `docker-ID.scope`, `cri-containerd-ID.scope`, `crio-ID`, `libpod-ID.scope`. The monitor of a container
/// (`libpod-conmon-ID.scope`) is not in it.
fn container_id(name: &str) -> Option<&str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let (engine, id) = name.rsplit_once('-').unwrap_or(("", name));
    let is_id = id.len() == CONTAINER_ID_LENGTH && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (is_id && !engine.ends_with("conmon")).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn unit(path: &str) -> Option<String> {
        parse(&format!("0::{path}\n")).unit
    }

    fn container(path: &str) -> Option<String> {
        parse(&format!("0::{}\n", path.replace("ID", ID))).container
    }

    #[test]
    fn the_unit_is_the_outermost() {
        assert_eq!(unit("/system.slice/restic.service").as_deref(), Some("restic.service"));
        assert_eq!(unit("/system.slice/system-job.slice/job@a\\x2db.service/sub").as_deref(), Some("job@a\\x2db.service"));
        assert_eq!(unit("/init.scope").as_deref(), Some("init.scope"));
        assert_eq!(unit("/user.slice/user-1000.slice/session-3.scope").as_deref(), Some("session-3.scope"));
    }

    #[test]
    fn a_name_that_the_process_chose_is_not_believed() {
        assert_eq!(unit("/user.slice/user-1000.slice/user@1000.service/app.slice/restic.service").as_deref(), Some("user@1000.service"));
        assert_eq!(unit("/system.slice/evil.service/restic.service").as_deref(), Some("evil.service"));
        assert_eq!(unit("/somewhere/restic.service"), None);
        assert_eq!(unit("/../restic.service"), None);
        assert_eq!(container("/user.slice/user-1000.slice/user@1000.service/docker-ID.scope"), None);
        assert_eq!(container("/system.slice/evil.service/docker/ID"), None);
    }

    #[test]
    fn containers_are_found_under_every_engine() {
        for path in [
            "/docker/ID",
            "/system.slice/docker-ID.scope",
            "/kubepods/burstable/pod3e5f7c1a-0000-0000-0000-000000000000/ID",
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod3e5f.slice/cri-containerd-ID.scope",
            "/kubepods.slice/kubepods-pod3e5f.slice/crio-ID.scope/container",
            "/machine.slice/libpod-ID.scope/container",
            "/../cri-containerd-ID.scope",
        ] {
            assert_eq!(container(path).as_deref(), Some(ID), "{path}");
            assert_eq!(unit(&path.replace("ID", ID)), None, "{path}");
        }
        assert_eq!(container("/machine.slice/libpod-conmon-ID.scope"), None);
        assert_eq!(container("/docker/0123"), None);
    }

    #[test]
    fn older_hierarchies_are_read_too() {
        let hybrid = format!("9:name=systemd:/system.slice/restic.service\n4:memory:/docker/{ID}\n0::/\n");
        assert_eq!(parse(&hybrid).unit.as_deref(), Some("restic.service"));
        let docker = format!("4:memory:/docker/{ID}\n3:cpuset:/\n");
        assert_eq!(parse(&docker).container.as_deref(), Some(ID));
        for nothing in ["", "0::/\n", "garbage\n", "0:\n"] {
            assert_eq!(parse(nothing), Membership::default());
        }
    }
}
