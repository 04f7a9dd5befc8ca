// Brings the space's volume up to date with the image, before the editor's server starts. byoi-entrypoint runs it at every start:
//
//   node volume.js IMAGE_DATA VOLUME_DATA
//
// Both are server data directories: `extensions`, `data/Machine/settings.json`, `data/User/settings.json`.
//
// Extensions of the image become links in the volume's extensions directory, and entries of its `extensions.json`: the server sees only what
// is listed there, and deletes what is not. Whose an extension is, the volume itself tells: a link into the image's directory is the image's,
// all else the user's.
//
//   the image has …                    and the volume …              then
//   an extension                       never had it                  it is linked and listed
//   another version of it              links the one of before       link and entry are replaced, by an older version too
//   an extension                       has the user's own copy       the user's stays, whichever is newer
//   an extension                       had it, the user removed it   it stays away, in later versions too
//   an extension no longer             links it                      link and entry go
//
// What the user removed is told by a file of our own, which names all that was offered before. A volume that another image filled does not have
// it: there the traces of the server tell, as long as they last, which are a mark in `.obsolete` and a link that is not listed.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

// Our own file in the volume's extensions directory; the server ignores names that begin with a dot.
const STATE = '.byoi.json';

const log = (line) => console.error(`byoi-entrypoint: ${line}`);

// --- files

function textOf(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch (error) {
    return undefined;
  }
}

// The file is whole or as before; where it is a link, what it leads to is replaced.
function replaceFile(file, text) {
  const place = fs.existsSync(file) ? fs.realpathSync(file) : file;
  const draft = path.join(path.dirname(place), `.${path.basename(place)}.byoi-new`);
  try {
    fs.writeFileSync(draft, text);
    fs.renameSync(draft, place);
  } catch (error) {
    fs.rmSync(draft, { force: true });
    throw error;
  }
}

function replaceLink(link, target) {
  const draft = path.join(path.dirname(link), `.${path.basename(link)}.byoi-new`);
  fs.rmSync(draft, { force: true });
  fs.symlinkSync(target, draft);
  fs.renameSync(draft, link);
}

// With those above it. Node's own way names another reason when the file system is read-only.
function makeDirectory(directory) {
  if (fs.existsSync(directory)) return;
  makeDirectory(path.dirname(directory));
  fs.mkdirSync(directory);
}

function namesIn(directory) {
  try {
    return fs.readdirSync(directory).sort();
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw error;
  }
}

// --- extensions in a directory

// Id, version and the server's own notes of the extension in `folder`; undefined where there is none.
function manifestOf(folder) {
  let manifest;
  try {
    manifest = parsed(fs.readFileSync(path.join(folder, 'package.json'), 'utf8'));
  } catch (error) {
    return undefined;
  }
  if (!manifest || typeof manifest.name !== 'string' || typeof manifest.version !== 'string') return undefined;
  const id = `${manifest.publisher || 'undefined_publisher'}.${manifest.name}`.toLowerCase();
  return { id, version: manifest.version, metadata: manifest.__metadata };
}

// As in semantic versioning; parts of a pre-release are compared as text.
function isNewer(version, other) {
  const parts = (text) => {
    const [numbers, ...rest] = text.split('+')[0].split('-');
    return { numbers: numbers.split('.').map(Number), rest: rest.join('-') };
  };
  const [a, b] = [parts(version), parts(other)];
  for (let index = 0; index < 3; index += 1) {
    const difference = (a.numbers[index] || 0) - (b.numbers[index] || 0);
    if (difference !== 0) return difference > 0;
  }
  if (a.rest === '' || b.rest === '') return a.rest === '' && b.rest !== '';
  return a.rest > b.rest;
}

function isEntry(entry) {
  return Boolean(entry) && Boolean(entry.identifier) && typeof entry.identifier.id === 'string' && typeof entry.version === 'string';
}

const idOf = (entry) => entry.identifier.id.toLowerCase();

// The extensions in `directory`, one folder for each id: the one that `extensions.json` lists, else the newest version.
function extensionsIn(directory) {
  const list = parsed(textOf(path.join(directory, 'extensions.json')) || '[]');
  const listed = new Map((Array.isArray(list) ? list.filter(isEntry) : []).map((entry) => [entry.relativeLocation, entry]));
  const found = new Map();
  for (const folder of namesIn(directory)) {
    const manifest = folder.startsWith('.') || folder.endsWith('.vsctmp') ? undefined : manifestOf(path.join(directory, folder));
    if (!manifest) continue;
    const extension = Object.assign({ folder, entry: listed.get(folder) }, manifest);
    const other = found.get(manifest.id);
    const better = !other || (extension.entry && !other.entry) || (!extension.entry === !other.entry && isNewer(manifest.version, other.version));
    if (better) found.set(manifest.id, extension);
  }
  return found;
}

// Changes with everything of the image's extensions that the server keeps in its cache.
function fingerprint(directory, extensions) {
  const hash = crypto.createHash('sha256');
  for (const { folder } of extensions.values()) {
    for (const name of namesIn(path.join(directory, folder)).filter((name) => /^package(\.nls.*)?\.json$/.test(name))) {
      hash.update(JSON.stringify([folder, name, fs.readFileSync(path.join(directory, folder, name), 'utf8')]));
    }
  }
  return hash.digest('hex');
}

// --- the volume's extensions directory

class Volume {
  constructor(directory, imageDirectory, image, profiles) {
    this.directory = directory;
    this.imageDirectory = imageDirectory;
    this.image = image;
    this.links = this.readLinks();
    this.marks = parsed(textOf(path.join(directory, '.obsolete')) || '{}') || {};
    const state = parsed(textOf(path.join(directory, STATE)) || '{}') || {};
    this.offered = new Set(Array.isArray(state.offered) ? state.offered : []);
    this.fingerprint = state.image;
    this.list = this.readList();
    this.profiles = this.readProfiles(profiles);
  }

  // Every link that leads into the image's directory: name → folder there.
  readLinks() {
    const links = new Map();
    for (const name of namesIn(this.directory)) {
      let target;
      try {
        target = fs.readlinkSync(path.join(this.directory, name));
      } catch (error) {
        continue;
      }
      const folder = this.folderInImage(path.resolve(this.directory, target));
      if (folder !== undefined) links.set(name, folder);
    }
    return links;
  }

  folderInImage(place) {
    return path.dirname(place) === this.imageDirectory ? path.basename(place) : undefined;
  }

  // `extensions.json`. Where it is missing, the server would list every folder; one that it cannot read hides all extensions.
  readList() {
    const file = path.join(this.directory, 'extensions.json');
    const text = textOf(file);
    const entries = parsed(text || '');
    if (Array.isArray(entries) && entries.every(isEntry)) return { file, entries, isNew: false };
    if (text) {
      log('extensions.json of the volume is damaged: it is made anew, and kept as extensions.json.damaged');
      fs.renameSync(file, `${file}.damaged`);
    }
    return { file, entries: this.scan(), isNew: true };
  }

  scan() {
    const present = [...extensionsIn(this.directory).values()];
    return present
      .filter(({ folder, id, version }) => !this.marks[folder] && !this.marks[`${id}-${version}`])
      .map(({ folder, id, version, metadata }) => this.entry({ id }, version, folder, metadata));
  }

  // The lists of the user's other profiles. One that the server would not read is left alone.
  readProfiles(directory) {
    const files = namesIn(directory).map((name) => path.join(directory, name, 'extensions.json'));
    const lists = files.map((file) => ({ file, entries: fs.existsSync(file) ? parsed(textOf(file)) : undefined }));
    return lists.filter(({ entries }) => Array.isArray(entries) && entries.every(isEntry));
  }

  entry(identifier, version, folder, metadata) {
    const location = { $mid: 1, path: path.join(this.directory, folder), scheme: 'file' };
    return { identifier, version, location, relativeLocation: folder, metadata };
  }

  entryOf(extension) {
    const { id, version, folder, entry } = extension;
    return this.entry(entry ? entry.identifier : { id }, version, folder, entry ? entry.metadata : { pinned: true, source: 'vsix' });
  }

  // Whether `entry` stands for an extension of an image: of this one, or of one before.
  isFromImage(entry) {
    const place = entry.relativeLocation ? path.join(this.directory, entry.relativeLocation) : (entry.location || {}).path || '';
    if (this.folderInImage(place) !== undefined) return true;
    if (path.dirname(place) !== this.directory) return false;
    if (this.links.has(path.basename(place))) return true;
    // Nothing is there: nothing of the user's either.
    return !fs.existsSync(place) && (this.offered.has(idOf(entry)) || this.image.has(idOf(entry)));
  }

  // Whether the volume, which does not list it, had this extension before.
  hadBefore(id) {
    const traces = [...Object.keys(this.marks), ...this.links.keys()];
    return this.offered.has(id) || traces.some((name) => (/^(.+?)-\d+\.\d+\.\d+/.exec(name) || [])[1] === id);
  }
}

// The entries of `list` after the update: those of the image's extensions replaced or gone, the user's as they are.
// The folders that must be linked for it are added to `needed`.
function updatedEntries(volume, list, needed) {
  const users = new Set(list.entries.filter((entry) => !volume.isFromImage(entry)).map(idOf));
  const seen = new Set();
  return list.entries.flatMap((entry) => {
    const id = idOf(entry);
    if (!volume.isFromImage(entry)) return [entry];
    const extension = volume.image.get(id);
    if (!extension || users.has(id) || seen.has(id)) return [];
    seen.add(id);
    needed.add(extension.folder);
    const current = entry.version === extension.version && entry.relativeLocation === extension.folder;
    return [current ? entry : volume.entryOf(extension)];
  });
}

// Extensions of the image that the volume never had. What it had before and does not list, the user has removed.
function newExtensions(volume, entries) {
  const listed = new Set(entries.map(idOf));
  return [...volume.image.values()].filter(({ id }) => !listed.has(id) && !volume.hadBefore(id));
}

function report(before, after, image) {
  const versions = (entries) => new Map(entries.map((entry) => [idOf(entry), entry.version]));
  const [old, now] = [versions(before), versions(after)];
  for (const [id, version] of now) {
    if (!old.has(id)) log(`the extension ${id} ${version} of the image is linked`);
    else if (old.get(id) !== version) log(`the extension ${id} is now ${version}, was ${old.get(id)}`);
    else if (image.has(id) && image.get(id).version !== version) log(`the extension ${id} ${version} is the user's own; the image has ${image.get(id).version}`);
  }
  for (const id of old.keys()) if (!now.has(id)) log(`the extension ${id} is gone: the image no longer has it`);
}

function updateExtensions(imageDirectory, directory, profiles) {
  makeDirectory(directory);
  const image = extensionsIn(imageDirectory);
  const volume = new Volume(directory, imageDirectory, image, profiles);

  const needed = new Set();
  const kept = updatedEntries(volume, volume.list, needed);
  const added = newExtensions(volume, kept);
  added.forEach(({ folder }) => needed.add(folder));
  const lists = [{ file: volume.list.file, before: volume.list.entries, entries: kept.concat(added.map((extension) => volume.entryOf(extension))) }];
  for (const list of volume.profiles) lists.push({ file: list.file, before: list.entries, entries: updatedEntries(volume, list, needed) });

  // A folder of that name that is no link is the user's, and serves as well.
  const isTaken = (folder) => !volume.links.has(folder) && fs.existsSync(path.join(directory, folder));
  const missing = [...needed].filter((folder) => volume.links.get(folder) !== folder && !isTaken(folder));
  const stale = [...volume.links.keys()].filter((name) => !needed.has(name));
  const print = fingerprint(imageDirectory, image);

  const changed = lists.some((list) => JSON.stringify(list.before) !== JSON.stringify(list.entries));
  if (changed || volume.list.isNew || missing.length > 0 || stale.length > 0 || print !== volume.fingerprint) {
    report(volume.list.entries, lists[0].entries, image);
    writeExtensions(volume, lists, missing, stale);
  }
  writeMarks(volume, needed, stale);
  writeState(volume, print);
}

// The lists come first: an entry without its folder is mended by the next start, a folder without an entry would look as if the user had
// removed it. The server sees neither, unless this is killed and not started again.
function writeExtensions(volume, lists, missing, stale) {
  for (const { file, entries } of lists) {
    const before = fs.existsSync(file) ? fs.statSync(file).mtimeMs : 0;
    replaceFile(file, JSON.stringify(entries));
    // The server keeps what it read until the file has another time.
    if (fs.statSync(file).mtimeMs === before) fs.utimesSync(file, new Date(), new Date(before + 1000));
  }
  for (const folder of missing) replaceLink(path.join(volume.directory, folder), path.join(volume.imageDirectory, folder));
  for (const name of stale) fs.rmSync(path.join(volume.directory, name), { force: true });
}

// What is linked is not to be removed, and what is no longer there need not be.
function writeMarks(volume, needed, stale) {
  const left = Object.entries(volume.marks).filter(([key]) => !needed.has(key) && !stale.includes(key));
  if (left.length === Object.keys(volume.marks).length) return;
  const file = path.join(volume.directory, '.obsolete');
  if (left.length > 0) replaceFile(file, JSON.stringify(Object.fromEntries(left)));
  else fs.rmSync(file, { force: true });
}

// What was offered: all that the image has, and what an earlier image had and the user removed.
function writeState(volume, print) {
  const gone = new Set(volume.list.entries.filter((entry) => volume.isFromImage(entry)).map(idOf));
  const offered = [...new Set([...volume.offered].filter((id) => !gone.has(id)).concat([...volume.image.keys()]))].sort();
  const text = `${JSON.stringify({ image: print, offered })}\n`;
  const file = path.join(volume.directory, STATE);
  if (textOf(file) !== text) replaceFile(file, text);
}

// --- settings

// `text` without comments and trailing commas, which the editor allows in settings.
function withoutComments(text) {
  const token = /"(?:[^"\\]|\\.)*"|\/\/[^\n]*|\/\*[^]*?\*\//g;
  const plain = text.replace(/^\uFEFF/, '').replace(token, (match) => (match[0] === '"' ? match : ' '));
  return plain.replace(/("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])/g, (match, string) => string || '');
}

function settingsOf(file) {
  const text = textOf(file);
  if (text === undefined || text.trim() === '') return { text, settings: {} };
  const settings = parsed(withoutComments(text));
  if (!settings || typeof settings !== 'object' || Array.isArray(settings)) throw new Error(`${file} holds no JSON object and is left as it is`);
  return { text, settings };
}

// The image's settings win, those that it does not have stay: as sagemaker-distribution does it.
function mergeMachineSettings(imageFile, file) {
  const image = settingsOf(imageFile);
  if (image.text === undefined) return;
  const volume = settingsOf(file);
  const merged = Object.assign({}, volume.settings, image.settings);
  if (volume.text !== undefined && JSON.stringify(merged) === JSON.stringify(volume.settings)) return;
  if (volume.text && volume.text.trim() !== '' && parsed(volume.text) === undefined) {
    fs.copyFileSync(file, `${file}.commented`);
    log(`comments in ${file} are lost; the file of before is kept as settings.json.commented`);
  }
  makeDirectory(path.dirname(file));
  replaceFile(file, volume.text === undefined ? image.text : `${JSON.stringify(merged, null, 4)}\n`);
}

function seedUserSettings(imageFile, file) {
  const text = textOf(imageFile);
  if (text === undefined) return;
  makeDirectory(path.dirname(file));
  // A link that leads nowhere is the user's as well.
  if (!namesIn(path.dirname(file)).includes(path.basename(file))) replaceFile(file, text);
}

// --- all of it

function main(imageData, volumeData) {
  const both = (...below) => [path.join(imageData, ...below), path.join(volumeData, ...below)];
  const parts = [
    ['the extensions', () => updateExtensions(...both('extensions'), path.join(volumeData, 'data', 'User', 'profiles'))],
    ['the machine settings', () => mergeMachineSettings(...both('data', 'Machine', 'settings.json'))],
    ['the user settings', () => seedUserSettings(...both('data', 'User', 'settings.json'))],
  ];
  for (const [what, update] of parts) {
    try {
      update();
    } catch (error) {
      log(`cannot update ${what} of the volume: ${error.message}`);
      process.exitCode = 1;
    }
  }
}

main(...process.argv.slice(2));
