// What tests need of Debian's packages, where it is not installed: taken out of them into a folder, without root.
import { execFileSync } from "node:child_process"
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"

const STATUS = "/var/lib/dpkg/status"

/**
 * Downloads a package and unpacks it: `folder/usr/lib/...`.
 *
 * @param paths in the package, such as `./usr/lib/chromium/icudtl.dat`: these are unpacked alone
 * @throws Error where there is no apt, or it has no such package
 */
export function unpackPackage(name, folder, paths = []) {
  unpack(folder, () => [name], paths)
}

/**
 * The same for several, with every package that they need and the machine lacks.
 *
 * @param spared packages that they say they need, but do without
 */
export function unpackWithNeeded(names, folder, spared) {
  unpack(folder, (apt, work) => {
    // To apt, the spared are there.
    const status = join(work, "status")
    const entries = spared.map(
      (name) => `\nPackage: ${name}\nStatus: install ok installed\nVersion: 1:99\nArchitecture: all\n`,
    )
    writeFileSync(status, (existsSync(STATUS) ? readFileSync(STATUS, "utf8") : "") + entries.join(""))
    const options = ["-o", `Dir::State::status=${status}`, "--simulate", "--no-install-recommends"]
    const simulation = apt(...options, "install", ...names)
    // `Inst NAME (VERSION ...)`; where an older version would be replaced, that has to do.
    return [...names, ...[...simulation.matchAll(/^Inst (\S+) \(/gm)].map(([, needed]) => needed)]
  })
}

/** @param choose names packages, asking apt */
function unpack(folder, choose, paths = []) {
  mkdirSync(dirname(folder), { recursive: true })
  const work = mkdtempSync(`${folder}-`)
  const unpacked = join(work, "unpacked")
  const run = (command, ...args) =>
    execFileSync(command, args, { cwd: work, stdio: ["ignore", "pipe", "pipe"], encoding: "utf8", maxBuffer: 16 << 20 })
  const download = (...options) => {
    const apt = (...args) => run("apt-get", "-q", ...options, ...args)
    apt("download", ...new Set(choose(apt, work)))
  }
  try {
    try {
      download()
    } catch {
      // Without package lists, or with old ones: lists of our own, which need no root.
      for (const needed of ["lists/partial", "cache/archives/partial"])
        mkdirSync(join(work, needed), { recursive: true })
      const options = ["-o", `Dir::State::lists=${join(work, "lists")}`, "-o", `Dir::Cache=${join(work, "cache")}`]
      run("apt-get", "-q", ...options, "update")
      download(...options)
    }
    mkdirSync(unpacked)
    for (const archive of readdirSync(work).filter((file) => file.endsWith(".deb"))) {
      run("sh", "-c", 'dpkg --fsys-tarfile "$0" | tar -x -C "$@"', archive, unpacked, ...paths)
    }
    // Whole or not at all, whenever this is interrupted.
    rmSync(folder, { recursive: true, force: true })
    renameSync(unpacked, folder)
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}
