//! Whom an app runs as: names become numbers here, so that the keeper needs no name service.
//!
//! Names are looked up in `/etc/passwd` and `/etc/group`. A user that only a directory service knows is given by
//! number: `1000`, or `1000:1000` with its group.

use std::fs;

use crate::runtime::accounts::Account;
use crate::runtime::keeper::protocol::User;

/// Why an app cannot run as a user.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// Not in `/etc/passwd`, and no number.
    #[error(
        "there is no such user in /etc/passwd (give a number for one that only a directory service knows)"
    )]
    Unknown,
    /// The daemon may not become another user.
    #[error("only root can run an app as another user")]
    NotRoot,
}

/// The user called `name`; none when that is whom the keeper runs as anyway.
///
/// # Errors
/// When there is none, or this process could not become them.
pub fn find(name: &str) -> Result<Option<User>, UserError> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = fs::read_to_string("/etc/group").unwrap_or_default();
    let user = look_up(name, &passwd, &group).ok_or(UserError::Unknown)?;
    let own = rustix::process::geteuid();
    if own.is_root() {
        Ok(Some(user))
    } else if user.uid == own.as_raw() {
        Ok(None)
    } else {
        Err(UserError::NotRoot)
    }
}

fn look_up(name: &str, passwd: &str, group: &str) -> Option<User> {
    let entries: Vec<Account<'_>> = passwd.lines().filter_map(Account::parse).collect();
    if let Some(entry) = entries.iter().find(|entry| entry.name == name) {
        return Some(User {
            uid: entry.uid,
            gid: entry.gid,
            groups: groups_of(entry.name, entry.gid, group),
        });
    }
    let (uid, gid) = match name.split_once(':') {
        Some((uid, gid)) => (uid.parse().ok()?, Some(gid.parse().ok()?)),
        None => (name.parse().ok()?, None),
    };
    let known = entries.iter().find(|entry| entry.uid == uid);
    let gid = gid.or(known.map(|entry| entry.gid)).unwrap_or(uid);
    let groups = known.map_or_else(|| vec![gid], |entry| groups_of(entry.name, gid, group));
    Some(User { uid, gid, groups })
}

fn groups_of(name: &str, gid: u32, group: &str) -> Vec<u32> {
    let mut groups = vec![gid];
    for line in group.lines() {
        // `name:password:gid:member,member`
        let mut fields = line.split(':');
        let (Some(gid), Some(members)) = (fields.nth(2).and_then(|gid| gid.parse().ok()), fields.next())
        else {
            continue;
        };
        if members.split(',').any(|member| member == name) && !groups.contains(&gid) {
            groups.push(gid);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:1001:1002::/srv:/bin/false\n# junk\n::::\n";
    const GROUP: &str = "root:x:0:\nweb:x:1002:\nlogs:x:50:db,web\nother:x:51:webmaster\nbroken\n";

    fn found(name: &str) -> Option<(u32, u32, Vec<u32>)> {
        look_up(name, PASSWD, GROUP).map(|user| (user.uid, user.gid, user.groups))
    }

    #[test]
    fn names_and_numbers_become_users_with_their_groups() {
        assert_eq!(found("web"), Some((1001, 1002, vec![1002, 50])));
        assert_eq!(found("1001"), Some((1001, 1002, vec![1002, 50])));
        assert_eq!(found("1001:7"), Some((1001, 7, vec![7, 50])));
        assert_eq!(found("4000"), Some((4000, 4000, vec![4000])));
        assert_eq!(found("root"), Some((0, 0, vec![0])));
        for unknown in ["nobody-of-this-name", "", "-1", "1:", ":1", "99999999999"] {
            assert_eq!(found(unknown), None, "{unknown}");
        }
    }
}
