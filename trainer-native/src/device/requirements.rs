//! What CUDA needs beside this program, and what to do where some of it is missing.

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Headers that kernels of burn include, those of tensor cores last: a package of headers alone may lack them.
const HEADERS: [&str; 3] = ["cuda_fp16.h", "cuda_bf16.h", "crt/mma.h"];

/// What was found on this machine; what was not looked for, because something before it is missing, is
/// missing as well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Whether the driver's library can be loaded.
    pub driver: bool,
    /// Why the driver does not start, in its own words.
    pub refusal: Option<String>,
    /// GPUs that it sees.
    pub gpus: usize,
    /// The newest CUDA that it runs, as `(major, minor)`.
    pub driver_cuda: (u32, u32),
    /// The CUDA of the compiler for kernels.
    pub nvrtc: Option<(u32, u32)>,
    /// Where CUDA is installed.
    pub install: Option<PathBuf>,
}

impl Found {
    /// Refuses a machine that lacks something.
    ///
    /// # Errors
    /// The first thing that is missing, with the remedy.
    pub fn check(&self) -> Result<()> {
        let (major, minor) = self.driver_cuda;
        if !self.driver {
            bail!(
                "CUDA has no driver: libcuda.so.1 cannot be loaded\n\
                 hint: install NVIDIA's driver (in a container: start it with --gpus all), or add the folder of \
                 libcuda.so.1 to LD_LIBRARY_PATH"
            );
        }
        if let Some(refusal) = &self.refusal {
            bail!(
                "NVIDIA's driver does not start: {refusal}\n\
                 hint: `nvidia-smi` must list a GPU; after an update of the driver the machine must be restarted"
            );
        }
        if self.gpus == 0 {
            bail!("NVIDIA's driver sees no GPU\nhint: CUDA_VISIBLE_DEVICES may hide it");
        }
        let Some(nvrtc) = self.nvrtc else {
            bail!(
                "CUDA has no compiler for kernels: libnvrtc.so cannot be loaded\n\
                 hint: install the toolkit of CUDA {major}.{minor} and add its lib64 to LD_LIBRARY_PATH"
            );
        };
        if nvrtc > self.driver_cuda {
            bail!(
                "libnvrtc is of CUDA {}.{}, and the driver runs what was made for {major}.{minor} or older\n\
                 hint: put the lib64 of CUDA {major}.{minor} first in LD_LIBRARY_PATH, or update the driver",
                nvrtc.0,
                nvrtc.1
            );
        }
        let Some(install) = &self.install else {
            bail!(
                "CUDA's headers are missing, which kernels are compiled with\n\
                 hint: install the toolkit of CUDA {major}.{minor}, and set CUDA_PATH to its folder where that is not \
                 /usr/local/cuda"
            );
        };
        let include = install.join("include");
        if let Some(header) = HEADERS.iter().find(|header| !include.join(header).is_file()) {
            return lacks(&include, header);
        }
        Ok(())
    }
}

fn lacks(include: &Path, header: &str) -> Result<()> {
    bail!(
        "{} lacks {header}, which kernels are compiled with\n\
         hint: set CUDA_PATH to the folder of a whole toolkit; packages of headers alone leave out crt/",
        include.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn complete(install: PathBuf) -> Found {
        Found {
            driver: true,
            refusal: None,
            gpus: 1,
            driver_cuda: (13, 0),
            nvrtc: Some((13, 0)),
            install: Some(install),
        }
    }

    fn toolkit(name: &str, headers: &[&str]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("cuda-{name}-{}", std::process::id()));
        for header in headers {
            let path = folder.join("include").join(header);
            fs::create_dir_all(path.parent().expect("it has one")).expect("folders");
            fs::write(path, "").expect("a file");
        }
        folder
    }

    #[test]
    fn the_first_thing_that_is_missing_is_named_with_its_remedy() {
        let whole = toolkit("whole", &HEADERS);
        let complete = complete(whole.clone());
        complete.check().expect("nothing is missing");
        let refusal = Some("CUDA_ERROR_NO_DEVICE".to_owned());
        let cases = [
            (Found::default(), ["libcuda.so.1", "install NVIDIA's driver"]),
            (Found { refusal, ..complete.clone() }, ["CUDA_ERROR_NO_DEVICE", "nvidia-smi"]),
            (Found { gpus: 0, ..complete.clone() }, ["sees no GPU", "CUDA_VISIBLE_DEVICES"]),
            (Found { nvrtc: None, ..complete.clone() }, ["libnvrtc.so", "toolkit of CUDA 13.0"]),
            (Found { nvrtc: Some((13, 1)), ..complete.clone() }, ["of CUDA 13.1", "update the driver"]),
            (Found { install: None, ..complete.clone() }, ["headers are missing", "CUDA_PATH"]),
        ];
        for (found, words) in cases {
            let message = found.check().expect_err("something is missing").to_string();
            assert!(message.contains("\nhint: "), "{message}");
            assert!(words.iter().all(|word| message.contains(word)), "{words:?}: {message}");
        }
        fs::remove_dir_all(whole).expect("our own folder");
    }

    #[test]
    fn an_older_compiler_serves_a_newer_driver() {
        let whole = toolkit("older", &HEADERS);
        let found = Found { nvrtc: Some((12, 9)), ..complete(whole.clone()) };
        found.check().expect("it writes what the driver reads");
        fs::remove_dir_all(whole).expect("our own folder");
    }

    #[test]
    fn headers_without_those_of_tensor_cores_are_refused() {
        let partial = toolkit("partial", &HEADERS[..2]);
        let message = complete(partial.clone()).check().expect_err("one is missing").to_string();
        assert!(message.contains("lacks crt/mma.h"), "{message}");
        fs::remove_dir_all(partial).expect("our own folder");
    }
}
