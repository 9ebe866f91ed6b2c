/** What the codes of the operating system mean. */
const REASONS: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EBUSY: "it is in use",
  EDQUOT: "the disk quota is used up",
  EEXIST: "it is there already",
  EFBIG: "the file would be too large",
  EIO: "the device failed",
  EISDIR: "it is a folder",
  ELOOP: "its symbolic links go in a circle",
  EMFILE: "too many files are open",
  ENAMETOOLONG: "the name is too long",
  ENOENT: "no such file or folder",
  ENOSPC: "no space left on the device",
  ENOTDIR: "a part of the path is a file, not a folder",
  EPERM: "the operation is not permitted",
  EPIPE: "the reader has closed the pipe",
  EROFS: "the file system is read-only",
  ESPIPE: "it is a pipe, and pieces are written out of order",
}

/** `permission denied (EACCES)`, or the code alone; undefined for an error that is not the operating system's. */
export function systemReason(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | null)?.code
  if (typeof code !== "string") return undefined
  return code in REASONS ? `${REASONS[code]} (${code})` : code
}

/** What the user can do about it: a clause. */
export function systemAdvice(error: unknown): string | undefined {
  switch ((error as NodeJS.ErrnoException | null)?.code) {
    case "ENOSPC":
    case "EDQUOT":
      return "free some disk space or choose another disk"
    case "EACCES":
    case "EPERM":
      return "check its permissions and those of the folders above it"
    default:
      return undefined
  }
}
