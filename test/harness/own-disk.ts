/**
 * The disk that the tests of a file have for themselves: what they make is neither slowed by what the machine's own disk has
 * just deleted, nor the other way round, and it is ext4, with a journal, wherever they run.
 */

/**
 * For a shell that is root of a mount namespace: `own_disk IMAGE DIRECTORY`. Where loop devices cannot be had the directory
 * stays what it is.
 */
export const ownDisk = `own_disk() {
	truncate --size=16G "$1"
	mkfs.ext4 -q -E lazy_itable_init=1,lazy_journal_init=1,nodiscard "$1"
	mount -o loop "$1" "$2" || echo "without loop devices: temporary files are on the machine's own disk" >&2
	chmod 1777 "$2"
}`;
