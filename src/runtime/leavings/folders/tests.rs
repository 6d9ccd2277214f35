use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

struct Place {
    folder: tempfile::TempDir,
    folders: AppFolders,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let folders = AppFolders::of(folder.path());
        Self { folder, folders }
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.folder.path().join("apps").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn left(&self) -> usize {
        fs::read_dir(self.folder.path().join("apps")).unwrap().count()
    }
}

fn app(name: &str) -> AppName {
    name.parse().unwrap()
}

#[test]
fn a_node_that_never_ran_an_app_has_no_folders_and_nothing_to_remove() {
    let place = Place::new();
    assert_eq!(place.folders.names().unwrap(), []);
    place.folders.bury(&app("web")).unwrap();
    assert_eq!(place.folders.empty(10), Step::Done);
}

#[test]
fn only_folders_that_bear_an_apps_name_count() {
    let place = Place::new();
    place.put("web/data/x", "");
    place.put("db/data/x", "");
    place.put(".removed-1234/x", "");
    place.put("Not An App/x", "");
    assert_eq!(place.folders.names().unwrap(), [app("db"), app("web")]);
}

#[test]
fn what_is_buried_goes_and_its_neighbours_stay() {
    let place = Place::new();
    place.put("web/data/a/b/c/file", "1");
    place.put("web/data/file", "2");
    place.put("web/logs/output.log", "3");
    place.put("db/data/file", "4");
    place.folders.bury(&app("web")).unwrap();
    assert_eq!(place.folders.names().unwrap(), [app("db")], "gone in one step");
    assert_eq!(place.folders.empty(STEP_ENTRIES_MAX), Step::Done);
    assert_eq!(place.left(), 1);
    assert!(place.folder.path().join("apps/db/data/file").exists());
}

#[test]
fn links_are_removed_and_never_followed() {
    let place = Place::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), "stays").unwrap();
    place.put("web/data/file", "");
    let data = place.folder.path().join("apps/web/data");
    symlink(outside.path(), data.join("folder")).unwrap();
    symlink(outside.path().join("precious"), data.join("file-link")).unwrap();
    symlink("/", data.join("root")).unwrap();
    symlink("..", data.join("up")).unwrap();
    fs::hard_link(outside.path().join("precious"), data.join("hard")).unwrap();
    place.folders.bury(&app("web")).unwrap();
    assert_eq!(place.folders.empty(STEP_ENTRIES_MAX), Step::Done);
    assert_eq!(place.left(), 0);
    assert_eq!(
        fs::read_to_string(outside.path().join("precious")).unwrap(),
        "stays"
    );
}

#[test]
fn an_apps_folder_that_is_a_link_itself_is_removed_as_a_link() {
    let place = Place::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("precious"), "stays").unwrap();
    place.put("db/x", "");
    symlink(outside.path(), place.folder.path().join("apps/web")).unwrap();
    place.folders.bury(&app("web")).unwrap();
    assert_eq!(place.folders.empty(STEP_ENTRIES_MAX), Step::Done);
    assert!(outside.path().join("precious").exists());
    assert_eq!(place.folders.names().unwrap(), [app("db")]);
}

#[test]
fn a_folder_that_is_deeper_than_a_path_may_be_long_goes_by_bounded_steps() {
    let place = Place::new();
    place.put("web/data/top", "");
    // Made by descriptors, as a hostile app would: 1,500 levels of 5 bytes are far more than a path may have.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let data = place.folder.path().join("apps/web/data");
    let mut here = rustix::fs::open(&data, flags, Mode::empty()).unwrap();
    for _ in 0..1_500 {
        rustix::fs::mkdirat(&here, "deep", Mode::RWXU).unwrap();
        here = rustix::fs::openat(&here, "deep", flags, Mode::empty()).unwrap();
    }
    drop(here);
    place.folders.bury(&app("web")).unwrap();
    let mut steps = 1;
    while place.folders.empty(250) != Step::Done {
        steps += 1;
        assert!(steps < 100, "no end");
    }
    assert!(steps > 5, "one step does no more than it may");
    assert_eq!(place.left(), 0);
}

#[test]
fn forbidden_permissions_of_an_apps_own_hinder_nothing() {
    let place = Place::new();
    place.put("web/data/closed/inner/file", "");
    place.put("web/data/read-only/file", "");
    let data = place.folder.path().join("apps/web/data");
    for (path, mode) in [
        ("closed/inner", 0o000),
        ("closed", 0o000),
        ("read-only", 0o500),
        ("", 0o000),
    ] {
        fs::set_permissions(data.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    place.folders.bury(&app("web")).unwrap();
    assert_eq!(place.folders.empty(STEP_ENTRIES_MAX), Step::Done);
    assert_eq!(place.left(), 0);
}

#[test]
fn a_step_that_was_cut_short_is_gone_on_with_by_the_next() {
    let place = Place::new();
    for number in 0..40 {
        place.put(&format!("web/data/{number}/file"), "");
    }
    place.folders.bury(&app("web")).unwrap();
    assert_eq!(place.folders.empty(7), Step::More);
    // A daemon that starts anew knows nothing of the first step, and an app of that name may have come back.
    place.put("web/data/new", "mine");
    let again = AppFolders::of(place.folder.path());
    while again.empty(7) == Step::More {}
    assert_eq!(again.empty(7), Step::Done);
    assert_eq!(place.left(), 1);
    assert!(place.folder.path().join("apps/web/data/new").exists());
}
