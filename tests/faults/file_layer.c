/* Stands between a process and the system, for files below one folder: counts every call that changes something there,
 * writes down what it did, and at the N-th ends the process, or lets the call fail.
 *
 * Loaded with LD_PRELOAD, so that what torch (C++) and safetensors (Rust) write goes through it as what Python writes
 * does. Watches nothing until file_layer_watch() is called. Calls that only read are never counted. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { COUNT = 0, KILL = 1, KILL_HALFWAY = 2, FAIL_ONCE = 3, FAIL_ON = 4 };

static char watched[PATH_MAX];
static size_t watched_length;
static long turn, when;
static int action, code, record = -1;

/* Watch the folder `prefix` (absolute, resolved). At call number `at` do `what`; `error` is the errno of failures.
 * Everything done is written to the file descriptor `to` as lines: call, path, other path, size after it, inode. */
void file_layer_watch(const char *prefix, int what, long at, int error, int to) {
    snprintf(watched, sizeof watched, "%s", prefix);
    watched_length = strlen(watched);
    turn = 0, when = at, action = what, code = error, record = to;
}

/* How many calls were counted since file_layer_watch(). */
long file_layer_turns(void) { return turn; }

/* Watch nothing any more. */
void file_layer_rest(void) { watched_length = 0; }

static int path_of_descriptor(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

static int absolute(int folder, const char *name, char *path) {
    if (name[0] == '/') return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX;
    char base[PATH_MAX];
    if (folder == AT_FDCWD) {
        if (syscall(SYS_getcwd, base, sizeof base) < 0) return 0;
    } else if (!path_of_descriptor(folder, base))
        return 0;
    return snprintf(path, PATH_MAX, "%s/%s", base, name) < PATH_MAX;
}

static int is_watched(const char *path) {
    return watched_length && !strncmp(path, watched, watched_length) &&
           (path[watched_length] == '/' || path[watched_length] == 0);
}

static void say(const char *call, const char *path, const char *other, int descriptor) {
    if (record < 0) return;
    struct stat found = {0};
    if (descriptor >= 0) fstat(descriptor, &found);
    char line[2 * PATH_MAX + 100];
    int length = snprintf(line, sizeof line, "%s\t%s\t%s\t%lld\t%llu\n", call, path, other, (long long)found.st_size,
                          (unsigned long long)found.st_ino);
    syscall(SYS_write, record, line, (size_t)length);
}

enum { GO, REFUSE, HALF };

/* What becomes of the next call. GO: do it. REFUSE: fail with `code`. HALF: write half of it, then end. */
static int next_turn(void) {
    turn++;
    if (action == KILL && turn == when) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    if (action == KILL_HALFWAY && turn == when) return HALF;
    if ((action == FAIL_ONCE && turn == when) || (action == FAIL_ON && turn >= when)) {
        errno = code;
        return REFUSE;
    }
    return GO;
}

#define REAL(type, name, ...)                                                                                         \
    static type (*real)(__VA_ARGS__);                                                                                 \
    if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static int changes(int flags) { return (flags & (O_CREAT | O_TRUNC)) != 0; }

static int opened(int folder, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    int counts = watched_length && changes(flags) && absolute(folder, name, path) && is_watched(path);
    if (counts && next_turn() == REFUSE) return -1;
    int descriptor = (int)syscall(SYS_openat, folder, name, flags, mode);
    if (counts && descriptor >= 0) say("create", path, "", descriptor);
    return descriptor;
}

#define MODE(flags)                                                                                                   \
    mode_t mode = 0;                                                                                                  \
    if (flags & (O_CREAT | O_TMPFILE)) {                                                                              \
        va_list rest;                                                                                                 \
        va_start(rest, flags);                                                                                        \
        mode = va_arg(rest, mode_t);                                                                                  \
        va_end(rest);                                                                                                 \
    }

int open(const char *name, int flags, ...) {
    MODE(flags)
    return opened(AT_FDCWD, name, flags, mode);
}
int open64(const char *name, int flags, ...) {
    MODE(flags)
    return opened(AT_FDCWD, name, flags, mode);
}
int openat(int folder, const char *name, int flags, ...) {
    MODE(flags)
    return opened(folder, name, flags, mode);
}
int openat64(int folder, const char *name, int flags, ...) {
    MODE(flags)
    return opened(folder, name, flags, mode);
}

/* C++ streams open with fopen and write with write() and writev(). */
static FILE *file_opened(FILE *(*real)(const char *, const char *), const char *name, const char *mode) {
    char path[PATH_MAX];
    int counts = watched_length && mode[0] != 'r' && absolute(AT_FDCWD, name, path) && is_watched(path);
    if (counts && next_turn() == REFUSE) return NULL;
    FILE *file = real(name, mode);
    if (counts && file) say("create", path, "", fileno(file));
    return file;
}
FILE *fopen(const char *name, const char *mode) {
    REAL(FILE *, "fopen", const char *, const char *);
    return file_opened(real, name, mode);
}
FILE *fopen64(const char *name, const char *mode) {
    REAL(FILE *, "fopen64", const char *, const char *);
    return file_opened(real, name, mode);
}

static int descriptor_counts(int descriptor, char *path) {
    return watched_length && descriptor != record && path_of_descriptor(descriptor, path) && is_watched(path);
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
    char path[PATH_MAX];
    int counts = descriptor_counts(descriptor, path);
    int become = counts ? next_turn() : GO;
    if (become == REFUSE) return -1;
    ssize_t done = syscall(SYS_write, descriptor, bytes, become == HALF ? length / 2 : length);
    if (become == HALF) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    if (counts && done >= 0) say("write", path, "", descriptor);
    return done;
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    char path[PATH_MAX];
    int counts = descriptor_counts(descriptor, path);
    int become = counts ? next_turn() : GO;
    if (become == REFUSE) return -1;
    ssize_t done = syscall(SYS_writev, descriptor, parts, become == HALF ? count / 2 : count);
    if (become == HALF) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    if (counts && done >= 0) say("write", path, "", descriptor);
    return done;
}

static ssize_t positioned(int descriptor, const void *bytes, size_t length, off_t place) {
    char path[PATH_MAX];
    int counts = descriptor_counts(descriptor, path);
    int become = counts ? next_turn() : GO;
    if (become == REFUSE) return -1;
    ssize_t done = syscall(SYS_pwrite64, descriptor, bytes, become == HALF ? length / 2 : length, place);
    if (become == HALF) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    if (counts && done >= 0) say("write", path, "", descriptor);
    return done;
}
ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t place) {
    return positioned(descriptor, bytes, length, place);
}
ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off_t place) {
    return positioned(descriptor, bytes, length, place);
}

static ssize_t sent(int out, int in, off_t *place, size_t length) {
    char path[PATH_MAX];
    int counts = descriptor_counts(out, path);
    int become = counts ? next_turn() : GO;
    if (become == REFUSE) return -1;
    ssize_t done = syscall(SYS_sendfile, out, in, place, become == HALF ? length / 2 : length);
    if (become == HALF) syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
    if (counts && done >= 0) say("write", path, "", out);
    return done;
}
ssize_t sendfile(int out, int in, off_t *place, size_t length) { return sent(out, in, place, length); }
ssize_t sendfile64(int out, int in, off_t *place, size_t length) { return sent(out, in, place, length); }

static int resized(int descriptor, off_t length) {
    char path[PATH_MAX];
    int counts = descriptor_counts(descriptor, path);
    if (counts && next_turn() == REFUSE) return -1;
    int done = (int)syscall(SYS_ftruncate, descriptor, length);
    if (counts && !done) say("write", path, "", descriptor);
    return done;
}
int ftruncate(int descriptor, off_t length) { return resized(descriptor, length); }
int ftruncate64(int descriptor, off_t length) { return resized(descriptor, length); }

static int synced(int descriptor, long number) {
    char path[PATH_MAX];
    int counts = descriptor_counts(descriptor, path);
    if (counts && next_turn() == REFUSE) return -1;
    int done = (int)syscall(number, descriptor);
    if (counts && !done) say("sync", path, "", descriptor);
    return done;
}
int fsync(int descriptor) { return synced(descriptor, SYS_fsync); }
int fdatasync(int descriptor) { return synced(descriptor, SYS_fdatasync); }

static int moved(int from_folder, const char *from, int to_folder, const char *to) {
    char path[PATH_MAX], other[PATH_MAX];
    int counts = watched_length && absolute(from_folder, from, path) && absolute(to_folder, to, other) &&
                 (is_watched(path) || is_watched(other));
    if (counts && next_turn() == REFUSE) return -1;
    int done = (int)syscall(SYS_renameat2, from_folder, from, to_folder, to, 0);
    if (counts && !done) say("rename", path, other, -1);
    return done;
}
int rename(const char *from, const char *to) { return moved(AT_FDCWD, from, AT_FDCWD, to); }
int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    return moved(from_folder, from, to_folder, to);
}

static int removed(int folder, const char *name, int flags) {
    char path[PATH_MAX];
    int counts = watched_length && absolute(folder, name, path) && is_watched(path);
    if (counts && next_turn() == REFUSE) return -1;
    int done = (int)syscall(SYS_unlinkat, folder, name, flags);
    if (counts && !done) say("remove", path, "", -1);
    return done;
}
int unlink(const char *name) { return removed(AT_FDCWD, name, 0); }
int unlinkat(int folder, const char *name, int flags) { return removed(folder, name, flags); }
int rmdir(const char *name) { return removed(AT_FDCWD, name, AT_REMOVEDIR); }

static int made(int folder, const char *name, mode_t mode) {
    char path[PATH_MAX];
    int counts = watched_length && absolute(folder, name, path) && is_watched(path);
    if (counts && next_turn() == REFUSE) return -1;
    int done = (int)syscall(SYS_mkdirat, folder, name, mode);
    if (counts && !done) say("mkdir", path, "", -1);
    return done;
}
int mkdir(const char *name, mode_t mode) { return made(AT_FDCWD, name, mode); }
int mkdirat(int folder, const char *name, mode_t mode) { return made(folder, name, mode); }
