import { execFile, execFileSync } from "node:child_process"
import { availableParallelism } from "node:os"
import { promisify } from "node:util"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { coresAvailable, cpuQuota } from "./node_cores.js"
import { createCpuBackend, threadsFor } from "./node_cpu.js"

/** The quota of a process with such files. */
function quotaOf(cgroup: string, mountinfo: string, files: Readonly<Record<string, string>> = {}): number {
  return cpuQuota(cgroup, mountinfo, (path) => files[path] ?? null)
}

const UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
const FIRST = `24 23 0:21 / /proc rw,nosuid shared:5 - proc proc rw
31 23 0:27 / /sys/fs/cgroup ro,nosuid shared:9 - tmpfs tmpfs ro,mode=755
34 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:15 master:3 - cgroup cgroup rw,cpu,cpuacct
35 31 0:31 / /sys/fs/cgroup/cpuset rw,nosuid shared:16 - cgroup cgroup rw,cpuset
`

describe("the quota of control groups", () => {
  it("version 2: cpu.max, in a container that sees its own group as the root", () => {
    const files = { "/sys/fs/cgroup/cpu.max": "250000 100000\n" }
    expect(quotaOf("0::/\n", UNIFIED, files)).toBe(2.5)
    expect(quotaOf("0::/\n", UNIFIED, { "/sys/fs/cgroup/cpu.max": "max 100000\n" })).toBe(Number.POSITIVE_INFINITY)
    expect(quotaOf("0::/\n", UNIFIED)).toBe(Number.POSITIVE_INFINITY)
  })

  it("version 2: the smallest from the process's group to the root", () => {
    const cgroup = "0::/kubepods.slice/kubepods-pod7.slice/cri-containerd-5f.scope\n"
    const slice = "/sys/fs/cgroup/kubepods.slice"
    const files = {
      [`${slice}/cpu.max`]: "1600000 100000",
      [`${slice}/kubepods-pod7.slice/cpu.max`]: "300000 100000",
      [`${slice}/kubepods-pod7.slice/cri-containerd-5f.scope/cpu.max`]: "max 100000",
      [`${slice}/another.slice/cpu.max`]: "50000 100000",
    }
    expect(quotaOf(cgroup, UNIFIED, files)).toBe(3)
    expect(quotaOf("0::/user.slice\n", UNIFIED, files)).toBe(Number.POSITIVE_INFINITY)
  })

  it("version 1: cpu.cfs_quota_us by the period, of the hierarchy that has the cpu controller", () => {
    const cgroup = "12:cpuset:/docker/ab\n4:cpu,cpuacct:/docker/ab\n1:name=systemd:/docker/ab\n"
    const group = "/sys/fs/cgroup/cpu,cpuacct/docker/ab"
    const files = {
      "/sys/fs/cgroup/cpuset/docker/ab/cpu.cfs_quota_us": "1000",
      "/sys/fs/cgroup/cpuset/docker/ab/cpu.cfs_period_us": "1000",
      "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
      "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
      [`${group}/cpu.cfs_quota_us`]: "200000\n",
      [`${group}/cpu.cfs_period_us`]: "50000\n",
    }
    expect(quotaOf(cgroup, FIRST, files)).toBe(4)
    expect(quotaOf(cgroup, FIRST, { ...files, [`${group}/cpu.cfs_quota_us`]: "-1\n" })).toBe(Number.POSITIVE_INFINITY)
    expect(quotaOf(cgroup, FIRST, { ...files, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "150000" })).toBe(1.5)
  })

  it("version 1 in a container: the mount shows a group of the host, wherever the process says that it is", () => {
    const mount = "34 31 0:30 /docker/ab /sys/fs/cgroup/cpu ro master:3 - cgroup cgroup rw,cpu\n"
    const files = { "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000" }
    for (const path of ["/docker/ab", "/docker/abc", "/", "/../../other", "/docker/ab/../x"]) {
      expect(quotaOf(`4:cpu:${path}\n`, mount, files), path).toBe(0.5)
    }
    const job = "/sys/fs/cgroup/cpu/job"
    const below = { ...files, [`${job}/cpu.cfs_quota_us`]: "10000", [`${job}/cpu.cfs_period_us`]: "100000" }
    expect(quotaOf("4:cpu:/docker/ab/job\n", mount, below)).toBe(0.1)
  })

  it("hybrid: version 1 has the cpu controller, version 2 only the names", () => {
    const unified = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime shared:10 - cgroup2 cgroup2 rw\n"
    const files = {
      "/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "120000",
      "/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000",
    }
    expect(quotaOf("3:cpu,cpuacct:/job\n0::/init.scope\n", FIRST + unified, files)).toBe(1.2)
  })

  it("reads names with spaces, colons and backslashes", () => {
    const mount = "30 23 0:26 / /my\\040groups\\134x rw - cgroup2 cgroup2 rw\n"
    expect(quotaOf("0::/a:b\n", mount, { "/my groups\\x/a:b/cpu.max": "100000 100000" })).toBe(1)
  })

  it.each(["", "max", "100000", "x 100000", "100000 0", "0 100000", "-5 100000", "1e5 100000", "NaN NaN", "\0"])(
    "takes no limit from %j",
    (content) =>
      expect(quotaOf("0::/\n", UNIFIED, { "/sys/fs/cgroup/cpu.max": content })).toBe(Number.POSITIVE_INFINITY),
  )

  it("is a positive number whatever the files say", () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: fc.constantFrom("0", "1", ":", "/", " ", "-", ".", "\n", "cpu", "max") }),
    )
    const cgroup = fc.oneof(
      text,
      text.map((path) => `0::/${path}\n4:cpu:/${path}`),
    )
    const mounts = fc.oneof(text, fc.constantFrom(UNIFIED, FIRST, UNIFIED + FIRST))
    fc.assert(
      fc.property(cgroup, mounts, text, (cgroup, mounts, content) => {
        expect(cpuQuota(cgroup, mounts, () => content)).toBeGreaterThan(0)
      }),
    )
  })
})

describe("cores available", () => {
  it("are as many threads as there will be, fewer if fewer are wanted", async () => {
    expect([threadsFor(), threadsFor(1000), threadsFor(1)]).toEqual([coresAvailable(), coresAvailable(), 1])
    const backend = await createCpuBackend({ threads: 1000 })
    expect(backend.pool.threads).toBe(coresAvailable())
    await backend.close()
  })

  it("are whole ones, at least one, and no more than Node knows of", () => {
    expect(Number.isInteger(coresAvailable())).toBe(true)
    expect(coresAvailable()).toBeGreaterThan(0)
    expect(coresAvailable()).toBeLessThanOrEqual(availableParallelism())
  })

  it.skipIf(!hasTaskset())("are those of the process's affinity", async () => {
    const script = `
      const { coresAvailable } = await import(${JSON.stringify(new URL("./node_cores.js", import.meta.url).href)})
      console.log(coresAvailable())`
    const node = [process.execPath, "--input-type=module", "--eval", script]
    const { stdout } = await promisify(execFile)("taskset", ["--cpu-list", firstCpu(), ...node])
    expect(stdout).toBe("1\n")
  })
})

function hasTaskset(): boolean {
  try {
    execFileSync("taskset", ["--version"])
    return true
  } catch {
    return false
  }
}

/** A processor that this process may use: "pid 7's current affinity list: 0-3,8". */
function firstCpu(): string {
  const said = execFileSync("taskset", ["--cpu-list", "--pid", String(process.pid)], { encoding: "utf8" })
  return /: (\d+)/.exec(said)![1]
}
