import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { compileFlags, findCompiler, runCompiler } from "../build/kernels.ts";
import { runTool, withScratch } from "../build/sources.ts";
import { targets } from "../build/target.ts";
import { packCases } from "./packed-cases.ts";

/**
 * Runs the AVX-512 lane, compiled as the product compiles it, in Bochs: an emulator that decodes
 * and executes AVX-512 instructions on any machine. The guest is a program without an operating
 * system (scripts/avx512/machine) that compares the lane with the reference bit for bit.
 *
 *   bun scripts/avx512/bochs.ts 16     cases per operation; 4 when absent
 *
 * Debian 12: apt-get install bochs bochs-term bochsbios vgabios grub-common grub-pc-bin xorriso
 */
const casesPerOperation = Number(process.argv[2] ?? 4);
const processor = "corei7_skylake_x";
const longestSeconds = 1200;

/** A program that a boot loader can start: the lane, the comparison and the way into 64 bits. */
async function buildMachine(folder: string, output: string): Promise<void> {
  const compiler = await findCompiler("linux-x64");
  const avx512 = targets["linux-x64"].lanes["avx512"];
  if (!compiler || !avx512) throw new Error("no C compiler for x86-64 was found");
  const machine = "scripts/avx512/machine";
  const freestanding = ["-std=gnu11", "-O2", "-ffreestanding", "-fno-pic", "-mno-red-zone"];
  const units = [
    { source: "kernels/lane.c", flags: [...compileFlags, ...avx512] },
    // -fno-tree-…: the loop of memcpy must not become a call of memcpy.
    {
      source: `${machine}/machine.c`,
      flags: [...freestanding, "-mgeneral-regs-only", "-fno-tree-loop-distribute-patterns"],
    },
    { source: `${machine}/start.S`, flags: [] },
  ].map((unit, index) => ({ ...unit, object: join(folder, `${index}.o`) }));
  await Promise.all(
    units.map(({ source, flags, object }) =>
      runCompiler([
        ...[...compiler.command, ...flags, "-I", "kernels"],
        ...["-c", source, "-o", object],
      ]),
    ),
  );
  await runCompiler([
    ...[...compiler.command, "-static", "-no-pie", "-nostdlib", "-Wl,--build-id=none"],
    ...[`-Wl,-T,${machine}/machine.ld`, "-Wl,-z,noexecstack", "-Wl,--no-warn-rwx-segments"],
    ...units.map(({ object }) => object),
    ...["-lgcc", "-o", output],
  ]);
}

/** A disc that starts the machine with the cases in its memory. */
async function makeDisc(folder: string): Promise<string> {
  const image = join(folder, "image");
  mkdirSync(join(image, "boot/grub"), { recursive: true });
  await Bun.write(join(image, "boot/cases"), packCases(casesPerOperation));
  await buildMachine(folder, join(image, "boot/machine"));
  await Bun.write(
    join(image, "boot/grub/grub.cfg"),
    "set timeout=0\nmultiboot /boot/machine\nmodule /boot/cases\nboot\n",
  );
  const disc = join(folder, "disc.iso");
  const command = [
    ...["grub-mkrescue", "--output", disc, "--directory=/usr/lib/grub/i386-pc"],
    ...["--install-modules=multiboot iso9660 normal configfile biosdisk"],
    ...["--locales=", "--fonts=", "--themes=", image],
  ];
  const { succeeded, output } = await runTool(command);
  if (!succeeded) throw new Error(`${command.join(" ")}\n${output}`);
  return disc;
}

const configuration = (disc: string, serial: string, log: string) => `
cpu: model=${processor}, count=1, ips=100000000, reset_on_triple_fault=0
megs: 1024
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
ata0-master: type=cdrom, path="${disc}", status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev="${serial}"
log: "${log}"
panic: action=fatal
error: action=report
info: action=report
debug: action=ignore
display_library: term
clock: sync=none
`;

const textOf = async (path: string) =>
  (await Bun.file(path).exists()) ? Bun.file(path).text() : "";

/** Starts the disc and returns what the machine said, or how Bochs ended when it said no verdict. */
async function emulate(folder: string, disc: string): Promise<string> {
  const [serial, log] = [join(folder, "serial.txt"), join(folder, "bochs.log")];
  const [settings, commands] = [join(folder, "bochsrc"), join(folder, "commands")];
  await Bun.write(settings, configuration(disc, serial, log));
  // Debian's Bochs has a debugger, which waits to be told to continue.
  await Bun.write(commands, "continue\n");
  // Bochs wants a terminal, which script(1) gives it.
  const bochs = `TERM=vt100 timeout ${longestSeconds} bochs -q -f ${settings} -rc ${commands}`;
  const { output } = await runTool(["script", "--quiet", "--command", bochs, "/dev/null"]);
  const said = await textOf(serial);
  if (/^verdict /m.test(said)) return said;
  const end = (await textOf(log)) || output;
  return `${said}\nBochs ended without a verdict:\n${end.slice(-2500)}\n`;
}

const said = await withScratch(async (folder) => emulate(folder, await makeDisc(folder)));
process.stdout.write(said);
const verdict = /^verdict (\d+) equal 0 different$/m.exec(said);
const isProven = Number(verdict?.[1] ?? 0) > 0 && said.includes("has the avx512 lane");
process.exitCode = isProven ? 0 : 1;
