#![no_main]
//! Any text as the address of a repository, of a proxy, as a branch and as a commit's id.

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    if let Ok(url) = text.parse::<osier::repo_url::RepoUrl>() {
        let again: osier::repo_url::RepoUrl = url.reveal().parse().expect("what was taken is taken again");
        assert_eq!(again.reveal(), url.reveal());
        assert!(!url.host().unwrap_or_default().starts_with('-') && !url.path().starts_with('-'));
        assert!(url.user().is_none_or(|user| !user.starts_with('-')));
    }
    if let Ok(branch) = text.parse::<osier::names::BranchName>() {
        assert!(!branch.as_str().starts_with('-') && !branch.as_str().chars().any(char::is_control));
    }
    let _ = text.parse::<osier::repo_url::ProxyUrl>();
    let _ = text.parse::<osier::names::CommitId>();
});
