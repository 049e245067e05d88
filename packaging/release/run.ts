/** Runs a command of the release; returns what it prints. Throws with what it says if it fails. */
export function run(
	command: readonly string[],
	options: { cwd?: string; env?: Record<string, string> } = {},
): string {
	const { exitCode, stdout, stderr } = Bun.spawnSync([...command], {
		cwd: options.cwd ?? import.meta.dir,
		env: { ...process.env, LC_ALL: "C.UTF-8", TZ: "UTC", ...options.env },
		stdin: "ignore",
	});
	if (exitCode !== 0) throw new Error(`${command.join(" ")} failed:\n${stdout}${stderr}`);
	return stdout.toString();
}
