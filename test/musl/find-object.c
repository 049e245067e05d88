/* glibc's way to the tables by which exceptions find who catches them, which libgcc wants, for musl: by dl_iterate_phdr(3). */
#define _GNU_SOURCE
#include <link.h>
#include <stdint.h>

/* As in glibc's <dlfcn.h>. */
struct dl_find_object {
	unsigned long long flags;
	void *start, *end;
	void *map;
	void *tables;
	unsigned long long reserved[7];
};

struct search {
	uintptr_t address;
	struct dl_find_object *result;
};

static int look(struct dl_phdr_info *object, size_t size, void *data)
{
	struct search *search = data;
	uintptr_t start = 0, end = 0, tables = 0;
	(void)size;
	for (int index = 0; index < object->dlpi_phnum; index++) {
		const ElfW(Phdr) *header = &object->dlpi_phdr[index];
		uintptr_t at = object->dlpi_addr + header->p_vaddr;
		if (header->p_type == PT_GNU_EH_FRAME) tables = at;
		if (header->p_type == PT_LOAD && search->address - at < header->p_memsz) {
			start = at;
			end = at + header->p_memsz;
		}
	}
	if (start == 0 || tables == 0) return 0;
	*search->result = (struct dl_find_object){.start = (void *)start, .end = (void *)end, .tables = (void *)tables};
	return 1;
}

int _dl_find_object(void *address, struct dl_find_object *result)
{
	struct search search = {(uintptr_t)address, result};
	return dl_iterate_phdr(look, &search) == 1 ? 0 : -1;
}
