//! A host that does no more than look for presets and load one.

#![allow(clippy::unwrap_used)]

use std::ffi::CString;
use std::path::{Path, PathBuf};

use clap_sys::ext::params::{CLAP_EXT_PARAMS, clap_plugin_params};
use clap_sys::ext::preset_load::{CLAP_EXT_PRESET_LOAD, clap_plugin_preset_load};
use clap_sys::factory::preset_discovery::{
    CLAP_PRESET_DISCOVERY_LOCATION_FILE, CLAP_PRESET_DISCOVERY_LOCATION_PLUGIN,
    clap_preset_discovery_factory, clap_preset_discovery_filetype, clap_preset_discovery_indexer,
    clap_preset_discovery_location, clap_preset_discovery_metadata_receiver,
};
use clap_sys::universal_plugin_id::clap_universal_plugin_id;

use super::*;
use crate::presets::{self, EFFECT, INSTRUMENT};

unsafe extern "C" fn nothing(_host: *const clap_host) {}

unsafe extern "C" fn no_extension(_host: *const clap_host, _id: *const c_char) -> *const c_void {
    ptr::null()
}

fn host() -> clap_host {
    clap_host {
        clap_version: CLAP_VERSION,
        host_data: ptr::null_mut(),
        name: c"test".as_ptr(),
        vendor: c"test".as_ptr(),
        url: c"".as_ptr(),
        version: c"1".as_ptr(),
        get_extension: Some(no_extension),
        request_restart: Some(nothing),
        request_process: Some(nothing),
        request_callback: Some(nothing),
    }
}

unsafe extern "C" fn take_filetype(
    _indexer: *const clap_preset_discovery_indexer,
    filetype: *const clap_preset_discovery_filetype,
) -> bool {
    string(unsafe { (*filetype).file_extension }) == "vstpreset"
}

unsafe extern "C" fn take_location(
    _indexer: *const clap_preset_discovery_indexer,
    location: *const clap_preset_discovery_location,
) -> bool {
    unsafe { (*location).kind == CLAP_PRESET_DISCOVERY_LOCATION_FILE }
}

/// Name and plugin of each preset.
type Found = Vec<(String, String)>;

fn string(pointer: *const c_char) -> String {
    unsafe { text(pointer) }.unwrap().to_str().unwrap().to_string()
}

unsafe extern "C" fn begin_preset(
    receiver: *const clap_preset_discovery_metadata_receiver,
    name: *const c_char,
    key: *const c_char,
) -> bool {
    let found = unsafe { &mut *(*receiver).receiver_data.cast::<Found>() };
    assert!(key.is_null());
    found.push((string(name), String::new()));
    true
}

unsafe extern "C" fn add_plugin_id(
    receiver: *const clap_preset_discovery_metadata_receiver,
    plugin: *const clap_universal_plugin_id,
) {
    let found = unsafe { &mut *(*receiver).receiver_data.cast::<Found>() };
    assert_eq!(string(unsafe { (*plugin).abi }), "clap");
    found.last_mut().unwrap().1 = string(unsafe { (*plugin).id });
}

/// The presets as files in a folder of their own, which is gone afterwards.
fn with_files(name: &str, work: impl FnOnce(&[PathBuf])) {
    let folder = std::env::temp_dir().join(format!("vocoder-{name}-{}", std::process::id()));
    work(&presets::write_all(&folder).unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
}

fn c_path(path: &Path) -> CString {
    CString::new(path.to_str().unwrap()).unwrap()
}

#[test]
fn a_browser_learns_of_each_file_which_plugin_it_is_for() {
    let indexer = clap_preset_discovery_indexer {
        clap_version: CLAP_VERSION,
        name: c"test".as_ptr(),
        vendor: ptr::null(),
        url: ptr::null(),
        version: ptr::null(),
        indexer_data: ptr::null_mut(),
        declare_filetype: Some(take_filetype),
        declare_location: Some(take_location),
        declare_soundpack: None,
        get_extension: None,
    };
    let mut found = Found::new();
    let receiver = clap_preset_discovery_metadata_receiver {
        receiver_data: (&raw mut found).cast(),
        on_error: None,
        begin_preset: Some(begin_preset),
        add_plugin_id: Some(add_plugin_id),
        set_soundpack_id: None,
        set_flags: None,
        add_creator: None,
        set_description: None,
        set_timestamps: None,
        add_feature: None,
        add_extra_info: None,
    };
    with_files("discovery", |files| unsafe {
        let factory = get_factory(CLAP_PRESET_DISCOVERY_FACTORY_ID.as_ptr());
        let factory = factory.cast::<clap_preset_discovery_factory>();
        assert_eq!((*factory).count.unwrap()(factory), 1);
        let descriptor = (*factory).get_descriptor.unwrap()(factory, 0);
        assert!((*factory).get_descriptor.unwrap()(factory, 1).is_null());
        let create = (*factory).create.unwrap();
        assert!(create(factory, &indexer, c"another".as_ptr()).is_null());
        let provider = create(factory, &indexer, (*descriptor).id);
        assert!((*provider).init.unwrap()(provider));
        let get = (*provider).get_metadata.unwrap();
        for file in files {
            let file = c_path(file);
            assert!(get(provider, CLAP_PRESET_DISCOVERY_LOCATION_FILE, file.as_ptr(), &receiver));
        }
        let here = c_path(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
        assert!(get(provider, CLAP_PRESET_DISCOVERY_LOCATION_FILE, here.as_ptr(), &receiver));
        let nowhere = c"/no/such.vstpreset".as_ptr();
        assert!(!get(provider, CLAP_PRESET_DISCOVERY_LOCATION_FILE, nowhere, &receiver));
        assert!(!get(provider, CLAP_PRESET_DISCOVERY_LOCATION_PLUGIN, ptr::null(), &receiver));
        (*provider).destroy.unwrap()(provider);
    });
    assert_eq!(found.len(), EFFECT.len() + INSTRUMENT.len());
    assert_eq!(found[1], ("Faithful".into(), "vocoder.effect".into()));
    assert_eq!(found.last(), Some(&("Choir".into(), "vocoder.instrument".into())));
}

#[test]
fn a_preset_file_loads_into_its_own_plugin() {
    let host = host();
    with_files("load", |files| unsafe {
        let factory = get_factory(CLAP_PLUGIN_FACTORY_ID.as_ptr()).cast::<clap_plugin_factory>();
        assert_eq!((*factory).get_plugin_count.unwrap()(factory), 2);
        assert!((*factory).create_plugin.unwrap()(factory, &host, c"another".as_ptr()).is_null());
        let plugin = (*factory).create_plugin.unwrap()(factory, &host, c"vocoder.effect".as_ptr());
        assert!((*plugin).init.unwrap()(plugin));
        let extension = |id: &CStr| (*plugin).get_extension.unwrap()(plugin, id.as_ptr());
        let presets = &*extension(CLAP_EXT_PRESET_LOAD).cast::<clap_plugin_preset_load>();
        let load = |kind, file: &Path| {
            presets.from_location.unwrap()(plugin, kind, c_path(file).as_ptr(), ptr::null())
        };
        let named = |name: &str| files.iter().find(|file| file.ends_with(name)).unwrap();
        let params = &*extension(CLAP_EXT_PARAMS).cast::<clap_plugin_params>();
        let values = || {
            let count = params.count.unwrap()(plugin);
            let value = |index| {
                let mut info = std::mem::zeroed();
                assert!(params.get_info.unwrap()(plugin, index, &mut info));
                let mut value = 0.0;
                assert!(params.get_value.unwrap()(plugin, info.id, &mut value));
                (string(info.name.as_ptr()), value)
            };
            (0..count).map(value).collect::<std::collections::BTreeMap<_, _>>()
        };
        let before = values();
        let kind = CLAP_PRESET_DISCOVERY_LOCATION_FILE;
        assert!(!load(kind, named("Choir.vstpreset")));
        assert!(!load(kind, Path::new("/no/such.vstpreset")));
        assert!(!load(kind, &Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")));
        let octave = named("Octave up.vstpreset");
        assert!(!load(CLAP_PRESET_DISCOVERY_LOCATION_PLUGIN, octave));
        assert_eq!(values(), before);
        assert!(load(kind, octave));
        let after = values();
        // 12 of 24 semitones, on a scale that is finer about its middle.
        let octave = 0.5 + 0.5 * 0.5f64.powf(2f64.powf(-0.7));
        assert!((after["Pitch"] - octave).abs() < 1e-6, "{}", after["Pitch"]);
        assert_eq!(after["Quality"], before["Quality"]);
        (*plugin).destroy.unwrap()(plugin);
    });
}
