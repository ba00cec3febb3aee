/* Preloaded into a process: from the n-th write to a folder on, the disk is full. See faults.py.
 *
 * Python, Rust (tokenizers, safetensors) and C++ (torch) all write through these functions of the C library.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

static char folder[PATH_MAX];
static long first, last, count;

/* Fail the writes number `from` to `to` (0: none) to files in `path`. */
void faults_arm(const char *path, long from, long to) {
    snprintf(folder, sizeof folder, "%s/", path);
    first = from, last = to, count = 0;
}

long faults_count(void) { return count; }

static int fails(const char *path) {
    if (!folder[0] || strncmp(path, folder, strlen(folder))) return 0;
    long number = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    if (!first || number < first || number > last) return 0;
    errno = ENOSPC;
    return 1;
}

static int fails_at(int descriptor) {
    if (!folder[0]) return 0;
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return fails(path);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int descriptor, const void *data, size_t size) {
    return fails_at(descriptor) ? -1 : REAL(write)(descriptor, data, size);
}

ssize_t writev(int descriptor, const struct iovec *parts, int parts_count) {
    return fails_at(descriptor) ? -1 : REAL(writev)(descriptor, parts, parts_count);
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t offset) {
    return fails_at(descriptor) ? -1 : REAL(pwrite64)(descriptor, data, size, offset);
}

int fsync(int descriptor) { return fails_at(descriptor) ? -1 : REAL(fsync)(descriptor); }

int rename(const char *from, const char *to) { return fails(to) ? -1 : REAL(rename)(from, to); }
