// SPDX-License-Identifier: BSL-1.0
// Tasks that are too long for their limit of memory, and those whose worker the kernel
// ended because they went beyond one: that is an error of the task alone.
#include "futures/limits.hpp"
#include "mp/errors.hpp"

#include "process_pool/limit_text.hpp"
#include "process_pool/process_pool_core.hpp"
#include "util/diagnostics.hpp"
#include "util/number_text.hpp"

#include <signal.h>

namespace futures::detail {

void ProcessPool::check_size(const PoolTask& task, std::span<const std::byte> call)
    const {
    const auto& limit = memory_limit(task);
    if (!limit) {
        return;
    }
    const std::size_t size = call.empty() ? task.message.bytes().size() : call.size();
    if (size > *limit) {
        throw mp::ResourceLimitExceeded(
            "the task " + task.label() +
            " is not sent to a worker: with its arguments "
            "it has " +
            std::to_string(size) + " bytes, more than its limit of memory, " +
            size_text(*limit) + " (.limits.memory)"
        );
    }
}

/// Which limit of the task the worker's end tells of, in words; empty if none does.
std::string
ProcessPool::limit_told_by(const PoolTask& task, const Worker& worker) const {
    const int code = worker.process->exitcode().value_or(0);
    if (code != -SIGXCPU && code != -SIGXFSZ) {
        return {};
    }
    const Limits limits =
        task.limits ? combined(*task.limits, options_.limits) : options_.limits;
    const std::string task_text = "the task " + task.label() + " exceeded its limit ";
    const std::string worker_text = ": worker '" + worker.process->name() + "' (pid " +
                                    std::to_string(worker.process->pid()) +
                                    ") was ended by " +
                                    (code == -SIGXCPU ? "SIGXCPU" : "SIGXFSZ");
    if (code == -SIGXCPU && limits.cpu_time) {
        return task_text + "of processor time, " +
               mp::detail::seconds_text(*limits.cpu_time) + " (.limits.cpu_time)" +
               worker_text;
    }
    if (code == -SIGXFSZ && limits.file_size) {
        return task_text + "for the size of a file, " + size_text(*limits.file_size) +
               " (.limits.file_size)" + worker_text;
    }
    return {};
}

/// Requires: the worker has ended.
bool ProcessPool::struck_by_limit(std::uint32_t index, const Worker& worker) {
    const int code = worker.process->exitcode().value_or(0);
    if (code != -SIGXCPU && code != -SIGXFSZ) {
        return false;
    }
    bool struck = false;
    board_.drain();
    board_.visit_taken([&](BoardTask& any, std::uint32_t runner) {
        if (runner == index) {
            const auto& task = static_cast<const PoolTask&>(any);
            struck = struck || !limit_told_by(task, worker).empty();
        }
    });
    return struck;
}

void ProcessPool::recover_from_limit(std::uint32_t index, const Worker& worker) {
    board_.recover(index, [&](BoardTask& task) {
        return verdict_on(static_cast<PoolTask&>(task), index, worker);
    });
    mp::detail::log_info(
        end_of_worker(worker) +
        " because its task exceeded a limit; it will be replaced"
    );
}

}  // namespace futures::detail
