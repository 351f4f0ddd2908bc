/* SPDX-License-Identifier: Apache-2.0
 *
 * The parent's side: worker processes that run cases until they die or hang. What a worker took
 * down with it is run again, alone in a new one, so that the blame falls on the right case. No
 * worker outlives the parent: its pipe ends, and the kernel kills it. Each is a process group of
 * its own, so that what a device forks ends with it.
 */
#include "command.h"
#include "conform.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_CASE UINT64_MAX
/* To open the device, whatever a case may take: a busy machine takes a while to start a process. */
#define STARTS_WITHIN_MS 30e3

typedef struct worker {
    pid_t pid; /* 0: none */
    int to, from;
    int32_t is_ready;
    int32_t has_ended; /* before the last poll: what it wrote is there to be read */
    int32_t is_alone; /* runs one case again, by itself */
    uint64_t running; /* index of a case, NO_CASE */
    double since_ms;
    char line[1600];
    size_t length;
    char died[200]; /* how the worker before died */
    int32_t died_as;
} worker;

typedef struct pool {
    campaign *campaign;
    worker *workers;
    uint32_t count;
    uint64_t next;
    int exit_status;
} pool;

static volatile sig_atomic_t interrupted;
static void on_interrupt(int number) { interrupted = number; }

/* ---- processes ---- */

static void child(const conform_options *options, int in, int out) {
    char timeout[32];
    (void)setpgid(0, 0);
    (void)snprintf(timeout, sizeof timeout, "%g", options->timeout_s);
    /* Via high numbers, so that neither is closed by the other's move. */
    int high_in = fcntl(in, F_DUPFD, 20), high_out = fcntl(out, F_DUPFD, 20);
    (void)dup2(high_in, 3);
    (void)dup2(high_out, 4);
    for (int fd = 5; fd < 1024; fd++) {
        (void)close(fd);
    }
    int nothing = open("/dev/null", O_RDWR);
    (void)dup2(nothing, 0);
    (void)dup2(nothing, 1);
    if (getenv("FERRULE_CONFORM_STDERR") == NULL) {
        (void)dup2(nothing, 2);
    }
    if (nothing > 4) {
        (void)close(nothing);
    }
    /* Freed memory must count as free, or a leak cannot be told from a cache of the allocator. */
    (void)setenv("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0", 1);
    (void)execl("/proc/self/exe",
                "ferrule",
                "conform",
                "--worker",
                "--device",
                options->device,
                "--timeout",
                timeout,
                "--lose",
                options->lose != NULL ? options->lose : "",
                (char *)NULL);
    _exit(127);
}

static int worker_start(pool *self, worker *one) {
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) != 0) {
        return 0;
    }
    if (pipe2(from, O_CLOEXEC) != 0) {
        (void)close(to[0]);
        (void)close(to[1]);
        return 0;
    }
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        child(self->campaign->options, to[0], from[1]);
    }
    if (pid > 0) {
        (void)setpgid(pid, pid); /* whichever of the two comes first */
    }
    (void)close(to[0]);
    (void)close(from[1]);
    if (pid < 0) {
        (void)close(to[1]);
        (void)close(from[0]);
        return 0;
    }
    one->pid = pid;
    one->to = to[1];
    one->from = from[0];
    one->is_ready = 0;
    one->length = 0;
    one->since_ms = now_ms();
    return 1;
}

/* Has the process ended? It stays to be reaped, and its group's number is nobody else's. */
static int has_ended(const worker *one, int options) {
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)one->pid, &info, WEXITED | WNOWAIT | options) == 0 &&
           info.si_pid == one->pid;
}

/* Ends the process and its group, and says how it ended. */
static void worker_stop(worker *one, int kills, char *how, size_t capacity) {
    int status = 0;
    (void)close(one->to);
    /* One that has closed its pipe or is about to end gets a moment. */
    for (int i = 0; !kills && i < 200 && !has_ended(one, WNOHANG); i++) {
        (void)poll(NULL, 0, 10);
    }
    if (!has_ended(one, WNOHANG)) {
        (void)kill(one->pid, SIGKILL);
        while (!has_ended(one, 0) && errno == EINTR) {
        }
    }
    (void)kill(-one->pid, SIGKILL);
    while (waitpid(one->pid, &status, 0) < 0 && errno == EINTR) {
    }
    (void)close(one->from);
    if (WIFSIGNALED(status)) {
        (void)snprintf(how,
                       capacity,
                       "killed by signal %d (%s)",
                       WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    } else {
        (void)snprintf(how, capacity, "ended with status %d", WEXITSTATUS(status));
    }
    one->pid = 0;
}

/* ---- cases ---- */

static void worker_send(pool *self, worker *one) {
    if (!one->is_ready) {
        return;
    }
    if (one->running == NO_CASE) {
        if (interrupted || self->next >= self->campaign->count) {
            return;
        }
        one->running = self->next++;
    }
    const char *name = self->campaign->cases[one->running].name;
    size_t length = strlen(name);
    char line[CASE_LINE];
    if (length + 1 >= sizeof line) { /* neither a case nor a folder: no line could hold it */
        verdict out = {.result = RESULT_FAIL};
        (void)snprintf(out.sentence,
                       sizeof out.sentence,
                       "a case's name is shorter than %zu bytes, this one has %zu",
                       sizeof line - 1,
                       length);
        campaign_take(self->campaign, one->running, &out);
        one->running = NO_CASE;
        return; /* the next turn sends the next */
    }
    (void)snprintf(line, sizeof line, "%s\n", name);
    one->since_ms = now_ms();
    if (write(one->to, line, length + 1) != (ssize_t)(length + 1)) {
        one->is_ready = 0; /* its end will be seen by poll */
    }
}

/* A worker died or hung at a case: again, alone; the second time it stands. */
static void worker_failed(pool *self, worker *one, int32_t result, const char *how) {
    verdict out = {.result = result};
    uint64_t index = one->running;
    if (index == NO_CASE) {
        return;
    }
    if (!one->is_alone) {
        one->is_alone = 1;
        one->died_as = result;
        (void)snprintf(one->died, sizeof one->died, "%s", how);
        return; /* running stays: the next worker of this slot takes it */
    }
    (void)snprintf(out.sentence,
                   sizeof out.sentence,
                   "the worker was %s, also when it ran this case alone",
                   how);
    if (result == RESULT_TIMEOUT) {
        (void)snprintf(out.sentence,
                       sizeof out.sentence,
                       "it took more than %g s, also when it ran alone",
                       self->campaign->options->timeout_s);
    }
    out.ms = now_ms() - one->since_ms;
    one->running = NO_CASE;
    one->is_alone = 0;
    campaign_take(self->campaign, index, &out);
}

/* The line is its verdict. 0: it is none. */
static int worker_answered(pool *self, worker *one) {
    verdict out;
    if (!one->is_ready) {
        if (strcmp(one->line, "ready") == 0) {
            one->is_ready = 1;
            worker_send(self, one);
        } else if (self->exit_status == EXIT_RIGHT) {
            self->exit_status = complain(EXIT_DEVICE,
                                         "NO_DEVICE",
                                         "the device '%s' cannot be opened: %s",
                                         self->campaign->options->device,
                                         one->line);
        }
        return 1;
    }
    uint64_t index = one->running;
    if (index == NO_CASE || !verdict_read(&out, one->line)) {
        return 0;
    }
    if (one->is_alone) { /* it blames no case alone, and yet a worker is gone: not to be hidden */
        char text[300];
        (void)snprintf(text,
                       sizeof text,
                       "after other cases the worker was %.120s; alone it is: %s",
                       one->died,
                       result_name(out.result));
        out.result = one->died_as;
        memcpy(out.sentence, text, sizeof text);
    }
    one->running = NO_CASE;
    campaign_take(self->campaign, index, &out);
    one->is_alone = 0;
    worker_send(self, one);
    return 1;
}

/* It ended, or is ended here: because it hung, or (why) because it cannot be believed any more. */
static void worker_gone(pool *self, worker *one, int32_t result, const char *why) {
    char how[120];
    int was_ready = one->is_ready;
    worker_stop(one, result == RESULT_TIMEOUT || why != NULL, how, sizeof how);
    if (why != NULL) {
        (void)snprintf(how, sizeof how, "%s", why);
    }
    if (!was_ready && one->running == NO_CASE && self->exit_status == EXIT_RIGHT) {
        self->exit_status = complain(EXIT_DEVICE,
                                     "BACKEND",
                                     "opening the device '%s' failed: the worker %s",
                                     self->campaign->options->device,
                                     result == RESULT_TIMEOUT ? "hung" : how);
        return;
    }
    worker_failed(self, one, result, how);
    one->is_ready = 0;
}

static void worker_read(pool *self, worker *one) {
    static const char babbles[] = "stopped, as something wrote to its pipe that is no verdict";
    ssize_t got = read(one->from, one->line + one->length, sizeof one->line - 1 - one->length);
    if (got < 0 && errno == EINTR) {
        return;
    }
    if (got <= 0) {
        worker_gone(self, one, RESULT_CRASH, NULL);
        return;
    }
    one->length += (size_t)got;
    char *end = memchr(one->line, '\n', one->length);
    if (end == NULL) {
        if (one->length == sizeof one->line - 1) {
            worker_gone(self, one, RESULT_CRASH, babbles);
        }
        return;
    }
    *end = '\0';
    int is_one_line = end + 1 == one->line + one->length; /* it waits for the next name */
    one->length = 0;
    if (!is_one_line || !worker_answered(self, one)) {
        worker_gone(self, one, RESULT_CRASH, babbles);
    }
}

static int has_work(const pool *self) {
    if (self->exit_status != EXIT_RIGHT) {
        return 0;
    }
    if (self->next < self->campaign->count && !interrupted) {
        return 1;
    }
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->workers[i].running != NO_CASE && !interrupted) {
            return 1;
        }
    }
    return 0;
}

/* Starts what is missing, then waits for whoever speaks first. */
static void turn(pool *self, struct pollfd *polled) {
    for (uint32_t i = 0; i < self->count; i++) {
        worker *one = &self->workers[i];
        int is_needed = one->running != NO_CASE || self->next < self->campaign->count;
        if (one->pid == 0 && is_needed && !worker_start(self, one)) {
            self->exit_status =
                complain(EXIT_LIMIT, "LIMIT", "no worker process can be made: %s", strerror(errno));
        }
        if (one->pid != 0 && one->is_ready && one->running == NO_CASE) {
            worker_send(self, one);
        }
        one->has_ended = one->pid != 0 && has_ended(one, WNOHANG);
        polled[i] = (struct pollfd){.fd = one->pid != 0 ? one->from : -1, .events = POLLIN};
    }
    (void)poll(polled, self->count, 200);
    double limit_ms = self->campaign->options->timeout_s * 1e3 + 250;
    for (uint32_t i = 0; i < self->count; i++) {
        worker *one = &self->workers[i];
        if (one->pid == 0) {
            continue;
        }
        if ((polled[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
            worker_read(self, one);
            continue;
        }
        double least = one->is_ready ? 0 : STARTS_WITHIN_MS;
        if (one->has_ended) { /* what it forked holds the pipe */
            worker_gone(self, one, RESULT_CRASH, NULL);
        } else if ((one->running != NO_CASE || !one->is_ready) &&
                   now_ms() - one->since_ms > (limit_ms > least ? limit_ms : least)) {
            worker_gone(self, one, RESULT_TIMEOUT, NULL);
        }
    }
    campaign_progress(self->campaign, NULL);
}

int pool_run(campaign *work) {
    uint32_t count = (uint32_t)work->options->jobs;
    count = work->count < count ? (uint32_t)work->count : count;
    pool self = {.campaign = work, .count = count, .workers = calloc(count + 1, sizeof(worker))};
    struct pollfd *polled = calloc(count + 1, sizeof *polled);
    if (self.workers == NULL || polled == NULL) {
        free(self.workers);
        free(polled);
        return complain(EXIT_LIMIT, "OUT_OF_MEMORY", "no memory for %u workers", count);
    }
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    enum { SIGNAL_COUNT = sizeof signals / sizeof *signals };
    struct sigaction action = {.sa_handler = on_interrupt}, old[SIGNAL_COUNT];
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        (void)sigaction(signals[i], NULL, &old[i]);
        if (old[i].sa_handler != SIG_IGN) { /* nohup */
            (void)sigaction(signals[i], &action, NULL);
        }
    }
    (void)signal(SIGPIPE, SIG_IGN);
    for (uint32_t i = 0; i < count; i++) {
        self.workers[i].running = NO_CASE;
    }
    while (has_work(&self)) {
        turn(&self, polled);
    }
    for (uint32_t i = 0; i < count; i++) {
        char how[120];
        if (self.workers[i].pid != 0) {
            worker_stop(&self.workers[i], /*kills=*/1, how, sizeof how);
        }
    }
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        (void)sigaction(signals[i], &old[i], NULL);
    }
    free(self.workers);
    free(polled);
    if (interrupted && self.exit_status == EXIT_RIGHT) {
        self.exit_status = complain(EXIT_LIMIT,
                                    "CANCELLED",
                                    "interrupted after %llu of %llu cases",
                                    (unsigned long long)work->done,
                                    (unsigned long long)work->count);
    }
    return self.exit_status;
}
