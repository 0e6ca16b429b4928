/* A stand-in for NVIDIA's libnvidia-ml.so.1, so that the real pynvml runs without a card.
 *
 * What it answers stands in the text file named by STUDIO_NVML_SCRIPT; the format is described in nvml.py beside
 * this file. With STUDIO_NVML_CALLS, the name of every function called is appended to that file.
 * Structures and codes follow nvml.h of CUDA 13. Plain C11 and POSIX, no NVIDIA header needed.
 */
#define _POSIX_C_SOURCE 200809L
#include <ctype.h>
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };
enum { MAX_CARDS = 16, MAX_POINTS = 32, MAX_PROCESSES = 16, MAX_ERRORS = 32, MAX_FOUND = 64 };

typedef struct { double at, value; } Point;
typedef struct { int count; Point points[MAX_POINTS]; } Curve;   /* count 0: the card doesn't tell */
typedef struct { char who[256]; bool draws, told; Curve memory; double since; } Process;
typedef struct { char function[64]; int code; double from, to; } Fault;
typedef struct { int count; Fault faults[MAX_ERRORS]; } Faults;
typedef struct {
    char name[96], uuid[96];
    unsigned long long total, reserved;
    Curve base, temperature, power, utilisation, slowed;
    int processes;
    Process process[MAX_PROCESSES];
    Faults faults;
    int parent;          /* index of the whole card this is a part of, or -1 */
    bool divided, tells_memory;
    int major, minor;    /* compute capability, 0: the driver doesn't tell */
    double gone_from, gone_to;
} Card;

typedef struct { unsigned int pid; unsigned long long used; unsigned int instance, compute; } ProcessInfo;
typedef struct { unsigned long long total, free, used; } MemoryV1;
typedef struct { unsigned int version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned int gpu, memory; } Utilization;

static Card cards[MAX_CARDS];
static int card_count;
static Faults faults;
static char driver[80] = "615.71";
static bool loaded;
static int started;
static double loaded_at;

static double clock_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double seconds(void) { return clock_now() - loaded_at; }

/* ---- the script ------------------------------------------------------------------------------------------- */

static const struct { const char *name; int code; } codes[] = {
    {"INVALID_ARGUMENT", 2}, {"NOT_SUPPORTED", 3}, {"NO_PERMISSION", 4}, {"NOT_FOUND", 6}, {"DRIVER_NOT_LOADED", 9},
    {"TIMEOUT", 10}, {"FUNCTION_NOT_FOUND", 13}, {"GPU_IS_LOST", 15}, {"RESET_REQUIRED", 16},
    {"LIB_RM_VERSION_MISMATCH", 18}, {"ARGUMENT_VERSION_MISMATCH", 25}, {"UNKNOWN", 999},
};

static void refuse(int line, const char *why) {
    fprintf(stderr, "NVML stand-in: line %d of the script: %s\n", line, why);
    exit(99);
}

static int code_of(const char *word, int line) {
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (!strcmp(codes[i].name, word)) return codes[i].code;
    if (isdigit((unsigned char)*word)) return atoi(word);
    refuse(line, "unknown error code");
    return 0;
}

static double amount(const char *word) {
    char *unit;
    double value = strtod(word, &unit);
    if (!strncasecmp(unit, "KiB", 3)) return value * 1024;
    if (!strncasecmp(unit, "MiB", 3)) return value * 1024 * 1024;
    if (!strncasecmp(unit, "GiB", 3)) return value * 1024 * 1024 * 1024;
    return value;
}

/* "0:30 10:60MiB" is a curve through two points; one number without a time is the same always. */
static Curve curve_of(char *words, int line) {
    Curve curve = {0};
    for (char *word = strtok(words, " \t"); word; word = strtok(NULL, " \t")) {
        if (curve.count == MAX_POINTS) refuse(line, "too many points");
        char *colon = strchr(word, ':');
        curve.points[curve.count].at = colon ? strtod(word, NULL) : 0;
        curve.points[curve.count++].value = amount(colon ? colon + 1 : word);
    }
    return curve;
}

static const struct { const char *name; unsigned int bit; } reasons[] = {
    {"idle", 0x1}, {"set-lower", 0x2}, {"power-limit", 0x4}, {"hardware", 0x8}, {"other-card", 0x10}, {"warm", 0x20},
    {"hot", 0x40}, {"power-supply", 0x80}, {"display", 0x100}, {"none", 0},
};

/* "0:none 10:hot,hardware": from then on, until the next. */
static Curve steps_of(char *words, int line) {
    Curve curve = {0};
    char *rest;
    for (char *word = strtok_r(words, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
        if (curve.count == MAX_POINTS) refuse(line, "too many points");
        char *colon = strchr(word, ':'), *more;
        unsigned int bits = 0;
        for (char *name = strtok_r(colon ? colon + 1 : word, ",", &more); name; name = strtok_r(NULL, ",", &more)) {
            size_t i = 0;
            while (i < sizeof reasons / sizeof *reasons && strcmp(reasons[i].name, name)) i++;
            if (i == sizeof reasons / sizeof *reasons) refuse(line, "unknown reason for slowing down");
            bits |= reasons[i].bit;
        }
        curve.points[curve.count++] = (Point){colon ? strtod(word, NULL) : 0, bits};
    }
    return curve;
}

static double step_at(const Curve *curve, double at) {
    int i = curve->count - 1;
    while (i > 0 && at < curve->points[i].at) i--;
    return curve->points[i].value;
}

static double value_at(const Curve *curve, double at) {
    const Point *p = curve->points;
    if (at <= p[0].at) return p[0].value;
    for (int i = 1; i < curve->count; i++)
        if (at < p[i].at)
            return p[i - 1].value + (p[i].value - p[i - 1].value) * (at - p[i - 1].at) / (p[i].at - p[i - 1].at);
    return p[curve->count - 1].value;
}

static void add_fault(Faults *to, char *words, int line) {
    char function[64], code[64];
    double from = 0, until = 1e18;
    if (sscanf(words, "%63s %63s %lf %lf", function, code, &from, &until) < 2) refuse(line, "error FUNCTION CODE");
    if (to->count == MAX_ERRORS) refuse(line, "too many errors");
    Fault *fault = &to->faults[to->count++];
    strcpy(fault->function, function);
    fault->code = code_of(code, line);
    fault->from = from;
    fault->to = until;
}

static Card *new_card(int line, int parent) {
    if (card_count == MAX_CARDS) refuse(line, "too many cards");
    Card *card = &cards[card_count];
    *card = (Card){.parent = parent, .tells_memory = true, .gone_from = 1e18, .gone_to = 1e18};
    snprintf(card->uuid, sizeof card->uuid, "%s-57a2d1e0-0000-0000-0000-%012d", parent < 0 ? "GPU" : "MIG", card_count);
    card_count++;
    return card;
}

static void read_script(void) {
    const char *path = getenv("STUDIO_NVML_SCRIPT");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (!file) { fprintf(stderr, "NVML stand-in: can't open STUDIO_NVML_SCRIPT\n"); exit(99); }
    char text[1024];
    Card *card = NULL;
    int whole = -1;
    for (int line = 1; fgets(text, sizeof text, file); line++) {
        text[strcspn(text, "#\r\n")] = 0;
        char *start = text + strspn(text, " \t");
        for (char *end = start + strlen(start); end > start && isspace((unsigned char)end[-1]);) *--end = 0;
        if (!*start) continue;
        char *rest = start + strcspn(start, " \t");
        if (*rest) *rest++ = 0;
        rest += strspn(rest, " \t");
        if (!strcmp(start, "driver")) snprintf(driver, sizeof driver, "%s", rest);
        else if (!strcmp(start, "missing")) continue; /* the builder leaves the symbol out */
        else if (!strcmp(start, "error")) add_fault(card ? &card->faults : &faults, rest, line);
        else if (!strcmp(start, "card")) {
            whole = card_count;
            card = new_card(line, -1);
            snprintf(card->name, sizeof card->name, "%s", rest);
        } else if (!card) refuse(line, "this belongs to a card, and there is none yet");
        else if (!strcmp(start, "part")) {
            cards[whole].divided = true;
            card = new_card(line, whole);
            card->total = (unsigned long long)amount(rest);
        } else if (!strcmp(start, "uuid")) snprintf(card->uuid, sizeof card->uuid, "%s", rest);
        else if (!strcmp(start, "total")) card->total = (unsigned long long)amount(rest);
        else if (!strcmp(start, "reserved")) card->reserved = (unsigned long long)amount(rest);
        else if (!strcmp(start, "memory") && !strcmp(rest, "untold")) card->tells_memory = false;
        else if (!strcmp(start, "memory")) card->base = curve_of(rest, line);
        else if (!strcmp(start, "temperature")) card->temperature = curve_of(rest, line);
        else if (!strcmp(start, "power")) card->power = curve_of(rest, line);
        else if (!strcmp(start, "utilisation")) card->utilisation = curve_of(rest, line);
        else if (!strcmp(start, "capability")) {
            if (sscanf(rest, "%d.%d", &card->major, &card->minor) != 2) refuse(line, "capability MAJOR.MINOR");
        } else if (!strcmp(start, "slowed")) card->slowed = steps_of(rest, line);
        else if (!strcmp(start, "gone")) {
            if (sscanf(rest, "%lf %lf", &card->gone_from, &card->gone_to) < 1) refuse(line, "gone FROM TO");
        } else if (!strcmp(start, "process") || !strcmp(start, "drawing")) {
            if (card->processes == MAX_PROCESSES) refuse(line, "too many processes");
            Process *process = &card->process[card->processes++];
            char *memory = rest + strcspn(rest, " \t");
            if (!*memory) refuse(line, "process WHO MEMORY");
            *memory++ = 0;
            memory += strspn(memory, " \t");
            *process = (Process){.draws = *start == 'd', .told = strcmp(memory, "untold") != 0, .since = -1};
            snprintf(process->who, sizeof process->who, "%s", rest);
            if (process->told) process->memory = curve_of(memory, line);
        } else refuse(line, "unknown word");
    }
    fclose(file);
}

/* ---- who runs --------------------------------------------------------------------------------------------- */

static bool runs_with(const char *pid, const char *word) {
    char path[300], text[4096];
    snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
    FILE *file = fopen(path, "r");
    if (!file) return false;
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    for (size_t i = 0; i < length; i++) if (!text[i]) text[i] = ' ';
    text[length] = 0;
    return strstr(text, word) != NULL;
}

/* The pids that `who` stands for now: a number, self, parent, $VARIABLE, file:PATH or command:WORD. */
static int pids_of(const char *who, unsigned int *found, int room) {
    long pid = 0;
    if (!strcmp(who, "self")) pid = (long)getpid();
    else if (!strcmp(who, "parent")) pid = (long)getppid();
    else if (*who == '$') { const char *value = getenv(who + 1); pid = value ? atol(value) : 0; }
    else if (!strncmp(who, "file:", 5)) {
        FILE *file = fopen(who + 5, "r");
        if (!file) return 0;
        if (fscanf(file, "%ld", &pid) != 1) pid = 0;
        fclose(file);
    } else if (!strncmp(who, "command:", 8)) {
        DIR *folder = opendir("/proc");
        int count = 0;
        for (struct dirent *entry; folder && (entry = readdir(folder)) && count < room;)
            if (isdigit((unsigned char)*entry->d_name) && runs_with(entry->d_name, who + 8))
                found[count++] = (unsigned int)atol(entry->d_name);
        if (folder) closedir(folder);
        return count;
    } else pid = atol(who);
    if (pid <= 0 || room < 1) return 0;
    found[0] = (unsigned int)pid;
    return 1;
}

static int processes_of(Card *card, int draws, ProcessInfo *found) {
    int count = 0;
    for (int i = 0; i < card->processes; i++) {
        Process *process = &card->process[i];
        if (draws >= 0 && (int)process->draws != draws) continue;
        unsigned int pids[MAX_FOUND];
        int here = pids_of(process->who, pids, MAX_FOUND - count);
        bool follows = !strncmp(process->who, "command:", 8);
        if (!here) process->since = -1;
        else if (process->since < 0) process->since = follows ? seconds() : 0;
        for (int j = 0; j < here; j++) {
            unsigned long long used = ~0ULL; /* NVML_VALUE_NOT_AVAILABLE */
            if (process->told) used = (unsigned long long)value_at(&process->memory, seconds() - process->since);
            found[count++] = (ProcessInfo){pids[j], used, 0xFFFFFFFF, 0xFFFFFFFF};
        }
    }
    return count;
}

static unsigned long long used_of(Card *card) {
    double used = card->base.count ? value_at(&card->base, seconds()) : 0;
    ProcessInfo found[MAX_FOUND];
    int count = processes_of(card, -1, found);
    for (int i = 0; i < count; i++) {
        bool again = false; /* one that computes and draws stands in both lists and holds its memory once */
        for (int j = 0; j < i; j++) again |= found[j].pid == found[i].pid;
        if (!again && found[i].used != ~0ULL) used += (double)found[i].used;
    }
    unsigned long long room = card->total - card->reserved;
    return used > (double)room ? room : (unsigned long long)used;
}

/* ---- calls ------------------------------------------------------------------------------------------------ */

static int fault_in(const Faults *list, const char *function) {
    double now = seconds();
    for (int i = 0; i < list->count; i++) {
        const Fault *fault = &list->faults[i];
        if ((!strcmp(fault->function, function) || !strcmp(fault->function, "*")) && now >= fault->from && now < fault->to)
            return fault->code;
    }
    return SUCCESS;
}

static int enter(const char *function, const Card *card) {
    const char *path = getenv("STUDIO_NVML_CALLS");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) { fprintf(file, "%s\n", function); fclose(file); }
    if (!loaded) {
        loaded = true;
        loaded_at = clock_now();
        read_script();
    }
    int code = fault_in(&faults, function);
    if (!code && card) code = fault_in(&card->faults, function);
    if (!code && card && card->parent >= 0) code = fault_in(&cards[card->parent].faults, function);
    if (!code && !started && strncmp(function, "nvmlInit", 8)) code = UNINITIALIZED;
    return code;
}

#define ENTER(card) do { int code_ = enter(__func__, card); if (code_) return code_; } while (0)

int nvmlInitWithFlags(unsigned int flags) { (void)flags; ENTER(NULL); started++; return SUCCESS; }
int nvmlInit_v2(void) { ENTER(NULL); started++; return SUCCESS; }
int nvmlShutdown(void) { ENTER(NULL); started--; return SUCCESS; }

const char *nvmlErrorString(int code) {
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) if (codes[i].code == code) return codes[i].name;
    return code == SUCCESS ? "SUCCESS" : "an error without a name";
}

static int copy(char *to, unsigned int room, const char *from) {
    if (strlen(from) + 1 > room) return INSUFFICIENT_SIZE;
    strcpy(to, from);
    return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *version, unsigned int length) { ENTER(NULL); return copy(version, length, driver); }

static bool is_there(const Card *card) {
    return card->parent < 0 && !(seconds() >= card->gone_from && seconds() < card->gone_to);
}

int nvmlDeviceGetCount_v2(unsigned int *count) {
    ENTER(NULL);
    *count = 0;
    for (int i = 0; i < card_count; i++) *count += is_there(&cards[i]);
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned int index, Card **card) {
    int code = enter(__func__, NULL);
    if (code) return code;
    for (int i = 0; i < card_count; i++)
        if (is_there(&cards[i]) && index-- == 0) {
            *card = &cards[i];
            return fault_in(&cards[i].faults, __func__);
        }
    return INVALID_ARGUMENT;
}

int nvmlDeviceGetMigMode(Card *card, unsigned int *now, unsigned int *pending) {
    ENTER(card);
    if (card->parent >= 0) return INVALID_ARGUMENT;
    *now = *pending = card->divided;
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(Card *card, unsigned int *count) { ENTER(card); *count = card->divided ? 7 : 0; return SUCCESS; }

int nvmlDeviceGetMigDeviceHandleByIndex(Card *card, unsigned int index, Card **part) {
    ENTER(card);
    for (int i = 0; i < card_count; i++)
        if (cards[i].parent >= 0 && &cards[cards[i].parent] == card && index-- == 0) { *part = &cards[i]; return SUCCESS; }
    return NOT_FOUND;
}

int nvmlDeviceGetName(Card *card, char *name, unsigned int length) {
    ENTER(card);
    return copy(name, length, card->parent < 0 ? card->name : cards[card->parent].name);
}

int nvmlDeviceGetCudaComputeCapability(Card *card, int *major, int *minor) {
    ENTER(card);
    *major = card->major;
    *minor = card->minor;
    return card->major ? SUCCESS : NOT_SUPPORTED;
}

int nvmlDeviceGetUUID(Card *card, char *uuid, unsigned int length) { ENTER(card); return copy(uuid, length, card->uuid); }

int nvmlDeviceGetMemoryInfo(Card *card, MemoryV1 *memory) {
    ENTER(card);
    if (!card->tells_memory) return NOT_SUPPORTED;
    unsigned long long used = used_of(card) + card->reserved; /* version 1 counts the driver's own as used */
    *memory = (MemoryV1){card->total, card->total - used, used};
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo_v2(Card *card, MemoryV2 *memory) {
    ENTER(card);
    if (memory->version != (sizeof(MemoryV2) | 2u << 24)) return INVALID_ARGUMENT;
    if (!card->tells_memory) return NOT_SUPPORTED;
    unsigned long long used = used_of(card);
    *memory = (MemoryV2){memory->version, card->total, card->reserved, card->total - card->reserved - used, used};
    return SUCCESS;
}

static int whole_number(const Curve *curve, double scale, unsigned int *value) {
    if (!curve->count) return NOT_SUPPORTED;
    *value = (unsigned int)(value_at(curve, seconds()) * scale + 0.5);
    return SUCCESS;
}

int nvmlDeviceGetTemperature(Card *card, int sensor, unsigned int *degrees) {
    ENTER(card);
    return sensor ? INVALID_ARGUMENT : whole_number(&card->temperature, 1, degrees);
}

int nvmlDeviceGetPowerUsage(Card *card, unsigned int *milliwatts) { ENTER(card); return whole_number(&card->power, 1000, milliwatts); }

static int reasons_of(Card *card, unsigned long long *bits) {
    if (!card->slowed.count) return NOT_SUPPORTED;
    *bits = (unsigned long long)step_at(&card->slowed, seconds());
    return SUCCESS;
}

int nvmlDeviceGetCurrentClocksEventReasons(Card *card, unsigned long long *bits) { ENTER(card); return reasons_of(card, bits); }
int nvmlDeviceGetCurrentClocksThrottleReasons(Card *card, unsigned long long *bits) { ENTER(card); return reasons_of(card, bits); }

int nvmlDeviceGetUtilizationRates(Card *card, Utilization *busy) {
    ENTER(card);
    busy->memory = 0;
    return card->divided ? NOT_SUPPORTED : whole_number(&card->utilisation, 1, &busy->gpu);
}

static int list(Card *card, int draws, unsigned int *count, ProcessInfo *infos) {
    ProcessInfo found[MAX_FOUND];
    unsigned int here = (unsigned int)processes_of(card, draws, found);
    unsigned int room = *count;
    *count = here;
    if (here > room || (here && !infos)) return INSUFFICIENT_SIZE;
    for (unsigned int i = 0; i < here; i++) infos[i] = found[i];
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(Card *card, unsigned int *count, ProcessInfo *infos) {
    ENTER(card);
    return list(card, 0, count, infos);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(Card *card, unsigned int *count, ProcessInfo *infos) {
    ENTER(card);
    return list(card, 1, count, infos);
}
