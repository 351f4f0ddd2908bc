/* SPDX-License-Identifier: Apache-2.0
 *
 * `ferrule explain MODEL`: where every node runs and what the better devices said.
 */
#include "command.h"

#include <stdlib.h>
#include <string.h>

static void print_line(const fer_placement *line) {
    say_text(stdout, "  %s  %s %s", line->node, line->op, fer_dtype_name(line->dtype));
    if (line->specialization > 0) {
        say_text(stdout, "  (specialization %u)", line->specialization);
    }
    say_text(
        stdout, "   %s%s%s\n", line->device, line->reason[0] != '\0' ? ": " : "", line->reason);
}

static void print_sums(const placement_report *report, const fer_run_record *record) {
    for (uint32_t i = 0; i < report->sum_count; i++) {
        const placement_sum *sum = &report->sums[i];
        double percent = report->work > 0 ? 100 * sum->work / report->work
                         : report->node_count > 0
                             ? 100 * (double)sum->nodes / (double)report->node_count
                             : 0;
        say_text(stdout,
                 "%-10s %5llu of %llu nodes   %5.1f %% of estimated work\n",
                 sum->device,
                 (unsigned long long)sum->nodes,
                 (unsigned long long)report->node_count,
                 percent);
    }
    if (report->host_count > 0) {
        say_text(stdout,
                 "%-10s %5llu nodes: shape arithmetic and host ops, outside the shares\n",
                 "host",
                 (unsigned long long)report->host_count);
    }
    if (report->folded_count > 0) {
        say_text(stdout,
                 "%-10s %5llu nodes: nothing left to run\n",
                 "folded",
                 (unsigned long long)report->folded_count);
    }
    if (record->stage_count > 0) {
        say_text(stdout,
                 "one run: %u stages, %llu bytes moved between memories\n",
                 record->stage_count,
                 (unsigned long long)record->bytes_moved);
    }
}

static fer_status walk(session *self, json *out) {
    uint64_t count = 0;
    fer_status status = fer_program_placement_count(self->program, &count);
    for (uint64_t i = 0; i < count && status == FER_OK; i++) {
        fer_placement line = {.struct_size = sizeof line};
        status = fer_program_placement(self->program, i, &line);
        if (status != FER_OK) {
            break;
        }
        if (out == NULL) {
            if (self->args->nodes || line.reason[0] != '\0') {
                print_line(&line);
            }
            continue;
        }
        json_open(out, NULL, '{');
        json_text(out, "node", line.node);
        json_text(out, "op", line.op);
        json_text(out, "dtype", fer_dtype_name(line.dtype));
        json_text(out, "device", line.device);
        json_text(out, "reason", line.reason);
        json_integer(out, "parts", line.part_count);
        json_integer(out, "specialization", line.specialization);
        json_number(out, "work", line.work);
        json_close(out, '}');
    }
    return status;
}

static fer_status
write_json(session *self, const placement_report *report, const fer_run_record *record) {
    json out;
    json_begin(&out, stdout);
    json_open(&out, NULL, '{');
    json_text(&out, "model", self->args->model);
    json_open(&out, "devices", '[');
    for (uint32_t i = 0; i < report->sum_count; i++) {
        json_open(&out, NULL, '{');
        json_text(&out, "device", report->sums[i].device);
        json_integer(&out, "nodes", (int64_t)report->sums[i].nodes);
        json_number(&out, "work", report->sums[i].work);
        json_close(&out, '}');
    }
    json_close(&out, ']');
    json_integer(&out, "host_nodes", (int64_t)report->host_count);
    json_integer(&out, "folded_nodes", (int64_t)report->folded_count);
    json_integer(&out, "fallback_nodes", (int64_t)report->fallback_count);
    json_integer(&out, "stages", record->stage_count);
    json_integer(&out, "bytes_moved", (int64_t)record->bytes_moved);
    json_open(&out, "nodes", '[');
    fer_status status = walk(self, &out);
    json_close(&out, ']');
    json_close(&out, '}');
    json_end(&out);
    return status;
}

int verb_explain(const arguments *args) {
    session self;
    placement_report report = {0};
    fer_run_record record = {.struct_size = sizeof record};
    int result = session_open(&self, args);
    if (result == EXIT_RIGHT) {
        result = session_import(&self);
    }
    if (result == EXIT_RIGHT) {
        result = session_compile(&self);
    }
    if (result == EXIT_RIGHT) {
        result = session_rehearse(&self, &record);
    }
    if (result == EXIT_RIGHT) {
        fer_status status = placement_read(self.program, &report);
        if (status == FER_OK && args->json) {
            status = write_json(&self, &report, &record);
        } else if (status == FER_OK) {
            print_sums(&report, &record);
            status = walk(&self, NULL);
        }
        result = status == FER_OK ? EXIT_RIGHT : fail_with(args, status);
    }
    session_close(&self);
    return result;
}
