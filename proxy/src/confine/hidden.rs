use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Plan;
use crate::sandbox::places;

/// What must be hidden from the command.
#[derive(Debug, Default)]
pub struct Hidden {
    folders: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    /// Files that others replace by renaming, and with which no folder of their own can be hidden.
    exposed: BTreeSet<PathBuf>,
}

impl Hidden {
    /// Hides a folder with all that is in it; one that is not there has nothing to hide.
    pub fn folder(&mut self, path: &Path) {
        self.folders.extend(std::fs::canonicalize(path).ok());
    }

    /// Hides a file that is never replaced.
    pub fn file(&mut self, path: &Path) {
        self.files.extend(std::fs::canonicalize(path).ok());
    }

    /// Hides the folder that a secret of a provider is in. What everybody may read is none: such as a certificate.
    pub fn secret(&mut self, path: &Path, here: &Path) {
        let is_open = |metadata: std::fs::Metadata| metadata.is_file() && metadata.mode() & 0o004 != 0;
        if !std::fs::metadata(path).is_ok_and(is_open) {
            self.named(path, here);
        }
    }

    /// Hides the folder that a file is in, where it is by its name and where its links lead: when it is replaced by renaming, what is put
    /// over the file alone would fall off. `here` is where the command works, and must see.
    pub fn named(&mut self, path: &Path, here: &Path) {
        for place in places(path) {
            match std::fs::canonicalize(&place) {
                Ok(folder) if folder.is_dir() && !here.starts_with(&folder) => drop(self.folders.insert(folder)),
                Ok(_) => self.exposed.extend(std::fs::canonicalize(path).ok()),
                Err(_) => {}
            }
        }
    }

    /// Adds it to the plan.
    ///
    /// # Errors
    /// Where a secret cannot be hidden for sure, and the plan does not say that it need not.
    pub fn plan(self, plan: &mut Plan) -> Result<(), String> {
        if let Some(path) = self.exposed.first()
            && !plan.best_effort
        {
            return Err(format!(
                "the secret `{}` lies in a folder that the command must see: move it to a folder of its own, which can be hidden",
                path.display()
            ));
        }
        // What is in a hidden folder is hidden, and must not be looked for there.
        let folders = self.folders;
        let is_hidden = |path: &Path| folders.iter().any(|folder| path != folder && path.starts_with(folder));
        plan.files.extend(self.files.into_iter().chain(self.exposed).filter(|path| !is_hidden(path)));
        plan.folders.extend(folders.iter().filter(|folder| !is_hidden(folder)).cloned());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_with_its_folder_unless_the_command_works_there() {
        let site = tempfile::tempdir().unwrap();
        let site = site.path().canonicalize().unwrap();
        let (keys, work) = (site.join("keys"), site.join("work"));
        for folder in [&keys, &work] {
            std::fs::create_dir(folder).unwrap();
            let key = folder.join("key");
            std::fs::write(&key, "x").unwrap();
            std::fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        let hidden = |best_effort, secrets: &[&Path]| {
            let mut hidden = Hidden::default();
            secrets.iter().for_each(|secret| hidden.secret(secret, &work));
            let mut plan = Plan { best_effort, ..Plan::default() };
            hidden.plan(&mut plan).map(|()| (plan.folders, plan.files))
        };
        let (in_keys, in_work) = (keys.join("key"), work.join("key"));
        assert_eq!(hidden(false, &[&in_keys]).unwrap(), (vec![keys.clone()], vec![]));
        assert!(hidden(false, &[&in_work]).unwrap_err().contains("move it to a folder of its own"));
        assert_eq!(hidden(true, &[&in_keys, &in_work]).unwrap(), (vec![keys.clone()], vec![in_work]));
        std::os::unix::fs::symlink(&in_keys, work.join("link")).unwrap();
        assert!(hidden(false, &[&work.join("link")]).is_err(), "by its name it is where the command works");
        std::fs::write(work.join("ca.pem"), "x").unwrap();
        std::fs::set_permissions(work.join("ca.pem"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        assert_eq!(hidden(false, &[&work.join("ca.pem")]).unwrap(), (vec![], vec![]), "everybody may read it");
        assert_eq!(hidden(false, &[&site.join("nowhere/key")]).unwrap(), (vec![], vec![]));
    }
}
