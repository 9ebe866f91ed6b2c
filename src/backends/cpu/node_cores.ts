import { readFileSync } from "node:fs"
import { availableParallelism } from "node:os"

/**
 * How many threads this process can keep running: no more than its affinity allows nor than the CPU quotas of its control
 * groups pay for. Of a quota of 2.5 processors the half is left to the thread that runs JavaScript, as Node does where it
 * knows of quotas: a third computing thread would spend the quota sooner, and then all stand still until the next period.
 */
export function coresAvailable(): number {
  const quota = cpuQuota(read("/proc/self/cgroup") ?? "", read("/proc/self/mountinfo") ?? "", read)
  return Math.max(1, Math.floor(Math.min(availableParallelism(), quota)))
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return null
  }
}

/** The content of a file, or null if there is none. */
type Read = (path: string) => string | null

/**
 * The smallest CPU quota of a process's control groups and of those above them, in processors; Infinity without any. What
 * cannot be read or understood sets no limit.
 *
 * @param cgroups what Linux says in /proc/self/cgroup: cgroups(7)
 * @param mountinfo and in /proc/self/mountinfo: proc_pid_mountinfo(5)
 */
export function cpuQuota(cgroups: string, mountinfo: string, read: Read): number {
  const mounts = mountsOf(mountinfo)
  let quota = Number.POSITIVE_INFINITY
  for (const line of cgroups.split("\n")) {
    // Paths may contain colons.
    const [, id, controllers, path] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? []
    if (path === undefined) continue
    const isSecond = id === "0" && controllers === ""
    if (!isSecond && !controllers.split(",").includes("cpu")) continue
    for (const mount of mounts) {
      if (isSecond ? mount.type !== "cgroup2" : mount.type !== "cgroup" || !mount.options.includes("cpu")) continue
      for (const folder of foldersUpTo(mount, path)) {
        quota = Math.min(quota, isSecond ? quotaOfSecond(folder, read) : quotaOfFirst(folder, read))
      }
    }
  }
  return quota
}

interface Mount {
  /** What of the hierarchy is mounted. */
  readonly root: string
  readonly point: string
  readonly type: string
  readonly options: readonly string[]
}

function mountsOf(mountinfo: string): Mount[] {
  return mountinfo.split("\n").flatMap((line) => {
    // Any number of optional fields before the dash.
    const [, root, point, type, options] = /^\S+ \S+ \S+ (\S+) (\S+) .*? - (\S+) \S+ (\S+)/.exec(line) ?? []
    return options === undefined
      ? []
      : [{ root: unescaped(root), point: unescaped(point), type, options: options.split(",") }]
  })
}

/** Spaces and the like are written in octal. */
const unescaped = (path: string) =>
  path.replace(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))

/**
 * The folders of the group `path` and of those above, as far as the mount shows them. A container may see its group as the
 * root of a mount, under a path that only the host knows; then there is the mount point alone.
 */
function foldersUpTo({ root, point }: Mount, path: string): string[] {
  const base = root === "/" ? "" : root
  const within = path === base || path.startsWith(`${base}/`) ? path.slice(base.length) : ""
  const names = within.split("/").filter((name) => name !== "")
  return [point, ...names.map((_, i) => `${point}/${names.slice(0, i + 1).join("/")}`)]
}

/** Version 2: "max 100000" or "250000 100000", microseconds in each period of so many. */
function quotaOfSecond(folder: string, read: Read): number {
  const [quota, period] = read(`${folder}/cpu.max`)?.trim().split(/\s+/) ?? []
  return ratio(quota, period)
}

/** Version 1: -1 is no quota. */
function quotaOfFirst(folder: string, read: Read): number {
  return ratio(read(`${folder}/cpu.cfs_quota_us`)?.trim(), read(`${folder}/cpu.cfs_period_us`)?.trim())
}

function ratio(quota = "", period = ""): number {
  if (![quota, period].every((number) => /^\d+$/.test(number))) return Number.POSITIVE_INFINITY
  return Number(quota) > 0 && Number(period) > 0 ? Number(quota) / Number(period) : Number.POSITIVE_INFINITY
}
