/** Files as a room may see them. Failures (disk full, read-only, missing) are Refusals `disk_*`. */
export interface Disk {
  readBytes(path: string): Promise<Uint8Array>;
  /** `length` bytes from `offset`; fewer at the end of the file. */
  readRange(path: string, offset: number, length: number): Promise<Uint8Array>;
  readText(path: string): Promise<string>;
  /** Atomic and durable: temporary file, fsync, rename, directory fsync. */
  publish(path: string, content: Uint8Array | string, mode?: number): Promise<void>;
  /** A new file for large sequential writes; not visible as finished until the caller renames it. */
  create(path: string): Promise<FileWriter>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  makeDirectory(path: string, mode?: number): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  /** Sorted by name; an absent directory is an empty list. */
  list(path: string): Promise<readonly DiskEntry[]>;
  stat(path: string): Promise<DiskEntry | null>;
  /** Whether the path itself is a link; what it leads to does not matter. */
  isLink?(path: string): Promise<boolean>;
  freeBytes(path: string): Promise<number>;
  /** Size of the file system that holds the path, where it can be asked. */
  totalBytes?(path: string): Promise<number>;
}

export interface DiskEntry {
  readonly name: string;
  readonly kind: "file" | "directory" | "other";
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  /** Unix permission bits. */
  readonly mode: number;
}

export interface FileWriter {
  write(bytes: Uint8Array): Promise<void>;
  /** fsync. */
  sync(): Promise<void>;
  close(): Promise<void>;
}
