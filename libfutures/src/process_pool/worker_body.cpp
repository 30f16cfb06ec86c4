// SPDX-License-Identifier: BSL-1.0
#include "process_pool/worker_body.hpp"

#include "futures/detail/process_task.hpp"
#include "futures/errors.hpp"
#include "futures/this_task.hpp"
#include "mp/detail/event_fd.hpp"
#include "mp/detail/nested_exception.hpp"
#include "mp/errors.hpp"
#include "mp/process.hpp"
#include "mp/remote_error.hpp"
#include "mp/worker_local.hpp"

#include "os/failpoint.hpp"
#include "process_pool/board_worker.hpp"
#include "process_pool/call_outcome.hpp"
#include "process_pool/crash_frames.hpp"
#include "process_pool/crash_report.hpp"
#include "process_pool/orphans.hpp"
#include "process_pool/pool_depth.hpp"
#include "process_pool/stop_watch.hpp"
#include "process_pool/worker_link.hpp"
#include "process_pool/worker_output.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <utility>

namespace futures::detail {

namespace {

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

/// Makes the link to the pool when the first task wants it.
class LinkMaker {
public:
    LinkMaker() = default;
    LinkMaker(const LinkMaker&) = delete;
    LinkMaker& operator=(const LinkMaker&) = delete;

    virtual PoolLink& link_for(const TaskHead& task) = 0;

protected:
    ~LinkMaker() = default;
};

/// What this_task() tells of a task that runs in this worker.
class WorkerTask final : public TaskContext {
public:
    WorkerTask(
        StopWatch& stops,
        std::size_t worker,
        LinkMaker& links,
        const TaskHead& head,
        std::span<const std::byte> call
    ) noexcept
        : stops_(stops), worker_(worker), links_(links), head_(head), call_(call) {}

    bool stop_requested() const noexcept override {
        return stops_.is_to_stop(head_.position);
    }

    std::stop_token stop_token() override { return stops_.token_of(head_.position); }

    std::string name() const override {
        return head_.name.empty()
                   ? mp::detail::call_name(call_, mp::detail::CallOrigin::peer)
                   : std::string(head_.name);
    }

    std::uint32_t attempt() const noexcept override { return head_.attempt; }

    mp::Deadline deadline() const noexcept override { return head_.deadline; }

    std::size_t worker_index() const noexcept override { return worker_; }

    PoolLink* pool_link() override { return &links_.link_for(head_); }

private:
    StopWatch& stops_;
    const std::size_t worker_;
    LinkMaker& links_;
    const TaskHead head_;
    const std::span<const std::byte> call_;
};

/// While it lives, the task stands in the slot.
class RunningTask {
public:
    RunningTask(TaskSlot& slot, TaskContext& task) noexcept
        : slot_(slot), before_(std::exchange(slot.task, &task)) {}

    ~RunningTask() { slot_.task = before_; }

    RunningTask(const RunningTask&) = delete;
    RunningTask& operator=(const RunningTask&) = delete;

private:
    TaskSlot& slot_;
    TaskContext* const before_;
};

class PoolRunner final : public TaskRunner, private StackRunner, private LinkMaker {
public:
    PoolRunner(
        std::string where,
        BoardView view,
        std::uint32_t worker,
        int doorbell,
        StopWatch& stops,
        const mp::detail::Carried& given,
        const LinkedPool& pool
    )
        : where_(std::move(where)),
          view_(view),
          worker_(worker),
          doorbell_(doorbell),
          stops_(stops),
          given_(given),
          pool_(pool),
          control_(view.control(worker)) {}

    ResultKind run(std::span<const std::byte> call, ByteWriter& out) noexcept override {
        ByteReader in(call);
        CallFrame frame{in, out, CallPhase::decode, head.done};
        WorkerTask task(stops_, worker_, *this, head, call);
        const RunningTask running_task(slot_, task);
        const InTask in_task(*this);
        try {
            const mp::detail::ArrivedScope scope(given_);
            leave_out_frames_below(__builtin_frame_address(0));
            reap_orphans();
            note_task_begun(control_);
            run_limited(frame);
            return ResultKind::value;
        } catch (...) {
            out.clear();
            const bool stopped = frame.phase == CallPhase::run &&
                                 task.stop_requested() && handling_cancelled_error();
            encode_current(frame.phase, out);
            return stopped ? ResultKind::stopped : ResultKind::exception;
        }
    }

    void encode_current(CallPhase phase, ByteWriter& out) noexcept {
        detail::encode_current(phase, out, where_);
    }

private:
    /// While it lives, the task may use the link.
    class InTask {
    public:
        explicit InTask(PoolRunner& runner) noexcept : runner_(runner) {}

        ~InTask() {
            if (std::exchange(runner_.uses_link_, false)) {
                runner_.link_->leave_task();
            }
        }

        InTask(const InTask&) = delete;
        InTask& operator=(const InTask&) = delete;

    private:
        PoolRunner& runner_;
    };

    PoolLink& link_for(const TaskHead& task) override {
        if (!link_) {
            StackRunner& stack = *this;
            link_ = std::make_unique<WorkerLink>(
                view_, worker_, doorbell_, given_, pool_, stack
            );
        }
        if (!std::exchange(uses_link_, true)) {
            link_->enter_task(task.position, task.priority);
        }
        return *link_;
    }

    /// It is part of the task whose stack it is: its limits and its stop are that
    /// one's.
    Message run_on_stack(
        const std::string& name, std::span<const std::byte> call, bool& threw
    ) noexcept override {
        ByteReader in(call);
        ByteWriter out;
        CallFrame frame{in, out};
        TaskHead inner = head;
        inner.attempt = 1;
        inner.name = name;
        WorkerTask task(stops_, worker_, *this, inner, call);
        const RunningTask running_task(slot_, task);
        threw = false;
        try {
            const mp::detail::ArrivedScope scope(given_);
            mp::detail::run_call(frame);
        } catch (...) {
            threw = true;
            out.clear();
            encode_current(frame.phase, out);
        }
        Message message;
        message.assign(out.data());
        return message;
    }

    const std::string where_;
    const BoardView view_;
    const std::uint32_t worker_;
    const int doorbell_;
    StopWatch& stops_;
    const mp::detail::Carried& given_;
    const LinkedPool pool_;
    WorkerControl& control_;
    TaskSlot slot_;
    const TaskSlotScope slot_scope_{slot_};
    std::unique_ptr<WorkerLink> link_;  ///< none before a task uses it
    bool uses_link_ = false;            ///< the task that runs
};

std::string where() {
    return mp::current_process().name() + ", pid " + std::to_string(getpid());
}

/// It ends us, unless the program's code in this worker handles it: whatever the
/// parent, or who started it, thinks of that signal.
void accept_sigterm() {
    signal(SIGTERM, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

void call_if_any(const mp::Call& call) {
    if (call) {
        call();
    }
}

void leave_text(WorkerControl& control, const std::string& text) noexcept {
    const std::size_t size = std::min(text.size(), WorkerControl::max_text - 1);
    std::copy_n(text.data(), size, control.last_text.data());
    control.last_text[size] = '\0';
}

/// No task will be run any more. Between two steps, too, this process may be killed.
void end_in_order(const WorkerStart& start, WorkerControl& control) {
    MP_FAILPOINT("worker: before the finalizer");
    control.last_step.store(LastStep::running);
    if (start.tells_of_end) {
        mp::detail::EventFd::ring(start.doorbell.get());
    }
    auto step = LastStep::done;
    try {
        call_if_any(start.finalizer);
    } catch (...) {
        leave_text(control, mp::detail::describe_exception(std::current_exception()));
        step = LastStep::failed;
    }
    MP_FAILPOINT("worker: behind the finalizer");
    mp::detail::destroy_worker_locals();
    control.last_step.store(step);
}

}  // namespace

mp::detail::Carried given_to_workers(
    const mp::Call& shared, const mp::Call& initializer, const mp::Call& finalizer
) {
    mp::detail::Carried given;
    for (const mp::Call* const call : {&shared, &initializer, &finalizer}) {
        if (call->carried()) {
            given.append(*call->carried());
        }
    }
    return given;
}

std::string text_of_last_step(const WorkerControl& control) {
    std::string text;
    for (std::size_t i = 0; i < WorkerControl::max_text; ++i) {
        const char c = copied(control.last_text[i]);
        if (c == '\0') {
            break;
        }
        const bool printable = static_cast<unsigned char>(c) >= ' ' && c != 127;
        text += printable ? c : ' ';
    }
    return text;
}

void run_worker(const WorkerStart& start) {
    signal(SIGINT, SIG_IGN);  // Ctrl-C is the parent's business; it ends us
    if (start.parents_output != nullptr) {
        start.parents_output->leave_to_parent(start.index);
    }
    if (start.captures_output) {
        print_into({start.output[0].get(), start.output[1].get()});
    }
    accept_sigterm();
    set_pool_depth(start.depth);
    const auto board = map_segment(start.board);
    const auto calls = map_segment(start.call_arena);
    ResultArenaWriter results(map_segment(start.result_arena));
    // What stands in the board's header may have been written over by now.
    const BoardView view(board.data(), start.slots, start.workers);
    WorkerControl& control = view.control(start.index);
    if (start.captures_crashes) {
        install_crash_reporter(control);
    }
    keep_orphans(start.keeps_orphans);
    leave_out_frames_below(__builtin_frame_address(0));

    BoardWorkerOptions options;
    options.index = start.index;
    options.policy = start.policy;
    options.max_tasks = start.max_tasks;
    options.max_memory = start.max_memory;
    if (start.idle_nanoseconds != 0) {
        options.idle_timeout = std::chrono::nanoseconds(start.idle_nanoseconds);
    }
    options.doorbell = start.doorbell.get();
    options.calls_size = calls.size();
    MP_FAILPOINT("worker: mapped");
    BoardWorker worker(view, calls.data(), results, options);
    const auto given =
        given_to_workers(start.shared, start.initializer, start.finalizer);
    StopWatch stops(control);
    PoolRunner runner(
        where(),
        view,
        start.index,
        options.doorbell,
        stops,
        given,
        LinkedPool{
            .longest_call = BlockTable::longest_in(calls.size()),
            .limits_tasks = start.limits_tasks}
    );
    if (start.shared || start.initializer || start.settings.any()) {
        control.phase.store(WorkerPhase::initialising);
        try {
            start.settings.apply();
            call_if_any(start.shared);
            call_if_any(start.initializer);
        } catch (...) {
            ByteWriter exception;
            runner.encode_current(CallPhase::run, exception);
            worker.initializer_failed(exception.data());
            return;
        }
    }
    limit_calls(start.limits.limits());
    if (worker.run(runner) == WorkerEnd::in_order) {
        end_in_order(start, control);
    }
}

}  // namespace futures::detail
