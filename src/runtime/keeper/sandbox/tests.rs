//! What is missing is named with what to do, and paths that would vanish are shown again.

use super::*;

fn means(landlock_abi: u32, mounts: Result<MountsBy, (SpawnStep, i32)>) -> Means {
    Means { landlock_abi, mounts }
}

const REFUSED: Result<MountsBy, (SpawnStep, i32)> = Err((SpawnStep::UserNamespace, libc::EPERM));

fn told(means: &Means, is_other_user: bool) -> Vec<String> {
    means
        .missing(is_other_user)
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn nothing_is_missing_only_where_both_means_are_there() {
    for by in [MountsBy::Privilege, MountsBy::UserNamespace] {
        assert_eq!(told(&means(3, Ok(by)), false), Vec::<String>::new());
    }
    assert_eq!(
        told(&means(7, Ok(MountsBy::Privilege)), true),
        Vec::<String>::new()
    );
    for (means, is_other_user, count) in [
        (means(0, Ok(MountsBy::Privilege)), false, 1),
        (means(2, Ok(MountsBy::Privilege)), false, 1),
        (means(7, REFUSED), false, 1),
        (means(7, Ok(MountsBy::UserNamespace)), true, 1),
        (means(0, REFUSED), false, 2),
    ] {
        assert_eq!(told(&means, is_other_user).len(), count, "{means:?}");
    }
}

#[test]
fn what_is_missing_is_named_with_what_to_do_and_not_cut() {
    let both = told(&means(2, REFUSED), false);
    assert!(
        both[0].starts_with("sandbox.read_only: ") && both[0].ends_with("found ABI 2"),
        "{both:?}"
    );
    assert!(
        both[1].starts_with("sandbox.read_only: no private /tmp")
            && both[1].ends_with("allow user namespaces)"),
        "{both:?}"
    );
    let no_more = told(&means(7, Err((SpawnStep::MountNamespace, libc::ENOSPC))), false);
    assert!(no_more[0].ends_with("fs.mount-max allows no more"), "{no_more:?}");
    let other = told(&means(7, Ok(MountsBy::UserNamespace)), true);
    assert!(
        other[0].ends_with("only root can give them to another user's app"),
        "{other:?}"
    );
    let told = means(5, REFUSED).told();
    assert_eq!((told.landlock_abi, told.mounts, told.missing.len()), (5, None, 1));
}

#[test]
fn what_would_vanish_below_a_private_folder_is_shown_again_once() {
    let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
    let private = paths(&["/tmp", "/dev/shm"]);
    let seen = [
        "/tmp/a/data",
        "/srv/x",
        "/tmp/a/data/artefacts/1",
        "/dev/shm/b",
        "/tmpx",
    ];
    let (made, visible) = shown_again(&private, paths(&seen).into_iter());
    assert_eq!(visible, paths(&["/tmp/a/data", "/dev/shm/b"]));
    assert_eq!(made, paths(&["/tmp/a", "/tmp/a/data", "/dev/shm/b"]));
    let (made, visible) = shown_again(&private, paths(&["/tmp"]).into_iter());
    assert_eq!((made, visible), (Vec::new(), paths(&["/tmp"])));
}

/// A place with `web` in it.
fn place() -> (tempfile::TempDir, OwnedFd) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("web/data")).unwrap();
    let apps = rustix::fs::open(folder.path(), OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap();
    (folder, apps)
}

fn open(apps: &OwnedFd, path: &str) -> Result<OwnedFd, Errno> {
    open_writable(apps.as_fd(), &"web".parse().unwrap(), path, None)
}

#[test]
fn a_writable_folder_is_made_where_it_is_missing() {
    let (folder, apps) = place();
    for path in ["data", "cache", "./data//uploads/new/"] {
        open(&apps, path).unwrap();
    }
    assert!(folder.path().join("web/cache").is_dir());
    assert!(folder.path().join("web/data/uploads/new").is_dir());
}

#[test]
fn a_link_in_the_place_of_a_writable_folder_is_not_followed() {
    let (folder, apps) = place();
    let outside = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("web/data/link")).unwrap();
    std::os::unix::fs::symlink(outside.path(), folder.path().join("web/cache")).unwrap();
    std::fs::write(folder.path().join("web/data/file"), "").unwrap();
    for (path, errno) in [
        ("data/link", Errno::LOOP),
        ("data/link/deep", Errno::LOOP),
        ("cache", Errno::LOOP),
        ("data/file", Errno::NOTDIR),
        ("../web/data", Errno::INVAL),
    ] {
        assert_eq!(open(&apps, path).unwrap_err(), errno, "{path}");
    }
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}
