//! The accounts of `/etc/passwd` and the groups of `/etc/group`: names beside their numbers.

use std::fs;

/// The name of a user, where `/etc/passwd` has one.
#[must_use]
pub fn name_of(uid: u32) -> Option<String> {
    name_in(uid, &fs::read_to_string("/etc/passwd").ok()?)
}

/// The name of a group, where `/etc/group` has one.
#[must_use]
pub fn group_name_of(gid: u32) -> Option<String> {
    group_in(gid, &fs::read_to_string("/etc/group").ok()?)
}

/// Does `/etc/passwd` have a user of this name or number? Where it cannot be read, nobody knows; then yes.
#[must_use]
pub fn is_known(user: &str) -> bool {
    let Ok(passwd) = fs::read_to_string("/etc/passwd") else {
        return true;
    };
    let is_it = |account: Account<'_>| account.name == user || account.uid.to_string() == user;
    passwd.lines().filter_map(Account::parse).any(is_it)
}

/// Of lines `name:password:gid:members`.
fn group_in(gid: u32, group: &str) -> Option<String> {
    let mut groups = group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        Some((name, fields.nth(1)?.parse::<u32>().ok()?))
    });
    let (name, _) = groups.find(|(_, number)| *number == gid)?;
    Some(name.to_owned())
}

fn name_in(uid: u32, passwd: &str) -> Option<String> {
    let entry = passwd
        .lines()
        .filter_map(Account::parse)
        .find(|entry| entry.uid == uid)?;
    Some(entry.name.to_owned())
}

/// One line of `/etc/passwd`.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its number.
    pub uid: u32,
    /// The number of its first group.
    pub gid: u32,
}

impl<'a> Account<'a> {
    /// The account in a line `name:password:uid:gid:…`.
    #[must_use]
    pub fn parse(line: &'a str) -> Option<Self> {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Self { name, uid, gid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:1001:1002::/srv:/bin/false\n# junk\n::::\n";

    #[test]
    fn a_number_becomes_a_name_where_there_is_one() {
        assert_eq!(name_in(1001, PASSWD).as_deref(), Some("web"));
        assert_eq!(name_in(0, PASSWD).as_deref(), Some("root"));
        assert_eq!(name_in(4000, PASSWD), None);
        let groups = "root:x:0:\n# junk\n:::\nosier:x:998:dana,li\n";
        assert_eq!(group_in(998, groups).as_deref(), Some("osier"));
        assert_eq!(group_in(4000, groups), None);
    }
}
