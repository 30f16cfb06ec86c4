// SPDX-License-Identifier: BSL-1.0
#include "process_pool/worker_body.hpp"

#include "futures/detail/process_task.hpp"
#include "mp/errors.hpp"
#include "mp/process.hpp"
#include "mp/remote_error.hpp"

#include "os/failpoint.hpp"
#include "process_pool/board_worker.hpp"
#include "process_pool/crash_frames.hpp"
#include "process_pool/crash_report.hpp"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>

namespace futures::detail {

namespace {

using mp::SerializationPhase;
using mp::detail::ByteReader;
using mp::detail::ByteWriter;
using mp::detail::CallFrame;
using mp::detail::CallPhase;

mp::detail::Segment map_segment(const TravellingFd& fd) {
    // Mapped anew under fork too: these are ours, not the pool's.
    mp::detail::Segment segment(mp::UniqueFd::duplicate_of(fd.get()));
    // A task that forks must not leave a second process with this worker's number.
    segment.dont_fork();
    return segment;
}

class PoolRunner final : public TaskRunner {
public:
    PoolRunner(std::string where, const mp::detail::Carried& given)
        : where_(std::move(where)), given_(given) {}

    ResultKind run(std::span<const std::byte> call, ByteWriter& out) noexcept override {
        ByteReader in(call);
        CallFrame frame{in, out};
        try {
            const mp::detail::ArrivedScope scope(given_);
            leave_out_frames_below(__builtin_frame_address(0));
            mp::detail::run_call(frame);
            return ResultKind::value;
        } catch (...) {
            out.clear();
            encode_current(frame.phase, out);
            return ResultKind::exception;
        }
    }

    void encode_current(CallPhase phase, ByteWriter& out) noexcept {
        try {
            try {
                rethrow_current(phase);
            } catch (...) {
                mp::detail::encode_exception(out, std::current_exception(), where_);
            }
        } catch (const std::exception& error) {
            out.reset();
            encode_briefly(error.what(), out);
        }
    }

private:
    [[noreturn]] static void rethrow_current(CallPhase phase) {
        if (phase == CallPhase::decode) {
            throw_serialization_error(SerializationPhase::decode_task);
        }
        if (phase == CallPhase::encode) {
            throw_serialization_error(SerializationPhase::encode_result);
        }
        throw;
    }

    /// For when there is no memory for more than a writer has anyway.
    static void encode_briefly(const char* why, ByteWriter& out) noexcept {
        try {
            const mp::SerializationError error(
                SerializationPhase::encode_result, std::string(why).substr(0, 60)
            );
            mp::detail::encode_exception(out, std::make_exception_ptr(error), "worker");
        } catch (...) {
            std::abort();  // not even for that: this worker is lost
        }
    }

    const std::string where_;
    const mp::detail::Carried& given_;
};

std::string where() {
    return mp::current_process().name() + ", pid " + std::to_string(getpid());
}

void call_if_any(const mp::Call& call) {
    if (call) {
        call();
    }
}

}  // namespace

mp::detail::Carried
given_to_workers(const mp::Call& shared, const mp::Call& initializer) {
    mp::detail::Carried given;
    for (const mp::Call* const call : {&shared, &initializer}) {
        if (call->carried()) {
            given.append(*call->carried());
        }
    }
    return given;
}

void run_worker(const WorkerStart& start) {
    signal(SIGINT, SIG_IGN);  // Ctrl-C is the parent's business; it ends us
    const auto board = map_segment(start.board);
    const auto calls = map_segment(start.call_arena);
    ResultArenaWriter results(map_segment(start.result_arena));
    // What stands in the board's header may have been written over by now.
    const BoardView view(board.data(), start.slots, start.workers);
    WorkerControl& control = view.control(start.index);
    install_crash_reporter(control.crash);
    leave_out_frames_below(__builtin_frame_address(0));

    BoardWorkerOptions options;
    options.index = start.index;
    options.policy = start.policy;
    options.max_tasks = start.max_tasks;
    options.doorbell = start.doorbell.get();
    options.calls_size = calls.size();
    MP_FAILPOINT("worker: mapped");
    BoardWorker worker(view, calls.data(), results, options);
    const auto given = given_to_workers(start.shared, start.initializer);
    PoolRunner runner(where(), given);
    if (start.shared || start.initializer) {
        control.phase.store(WorkerPhase::initialising);
        try {
            call_if_any(start.shared);
            call_if_any(start.initializer);
        } catch (...) {
            ByteWriter exception;
            runner.encode_current(CallPhase::run, exception);
            worker.initializer_failed(exception.data());
            return;
        }
    }
    worker.run(runner);
}

}  // namespace futures::detail
