// SPDX-License-Identifier: BSL-1.0
#include "mpi/server.hpp"

#include "futures/mpi_pool.hpp"
#include "mp/errors.hpp"
#include "mp/remote_error.hpp"

#include "process_pool/call_outcome.hpp"
#include "util/diagnostics.hpp"

#include <sched.h>

#include <chrono>
#include <cstring>
#include <exception>
#include <new>
#include <utility>

namespace futures::detail {

using mp::detail::CallPhase;

Server::Server(
    Transport& transport,
    std::shared_ptr<Bell> bell,
    ServedComms& comms,
    const Waiting& waiting,
    const RankInfo& rank,
    std::size_t worker
)
    : transport_(transport),
      bell_(std::move(bell)),
      comms_(comms),
      pacing_(waiting.spin, waiting.backoff),
      neighbours_(rank.neighbours),
      runner_(rank.where(), worker) {}

void Server::serve() {
    const PunctualThread punctual;
    while (!is_over_) {
        bool any = transport_.receive(*this);
        any = answer_ended() || any;
        any = settle_answers() || any;
        if (any) {
            pacing_.event();
        } else {
            pacing_.pause(
                *bell_,
                transport_.is_polled(),
                !answering_.empty() || transport_.is_receiving(),
                mp::Deadline(mp::forever)
            );
        }
    }
    executors_.clear();  // their workers end
}

/// Without memory it waits for some: what has come would be lost.
void Server::take(
    std::size_t /*peer*/, const MessageHead& head, std::span<const std::byte> payload
) {
    for (;;) {
        try {
            handle(head, payload);
            return;
        } catch (const std::bad_alloc&) {
            ::sched_yield();
        }
    }
}

void Server::handle(const MessageHead& head, std::span<const std::byte> payload) {
    switch (head.kind) {
    case FrameKind::open:
        open(head, payload);
        return;
    case FrameKind::call:
        call(head, payload);
        return;
    case FrameKind::stop_task:
        if (const auto found = executors_.find(head.executor);
            found != executors_.end() && found->second.isolated) {
            found->second.isolated->stop(head.task);
        }
        return;
    case FrameKind::close:
        close(head);
        return;
    case FrameKind::end:
        is_over_ = true;
        return;
    default:
        mp::detail::log_error(
            "a rank got a message that is for the master: it was dropped"
        );
    }
}

void Server::take_long(
    std::size_t peer, const MessageHead& head, FrameBytes bytes, std::size_t offset
) {
    take(peer, head, std::as_const(bytes).bytes().subspan(offset));
}

void Server::take_none(std::size_t /*peer*/, const MessageHead& head) {
    try {
        throw std::bad_alloc();
    } catch (...) {
        if (head.kind == FrameKind::open) {
            refuse(head, executors_[head.executor], FrameKind::refused);
        } else {
            answer_current(head);
        }
    }
}

/// Without the master there is nothing to do.
void Server::take_loss(std::size_t /*peer*/) {
    is_over_ = true;
}

void Server::open(const MessageHead& head, std::span<const std::byte> payload) {
    finish_answers();  // an initializer may take long
    Executor& executor = executors_[head.executor];
    try {
        if (payload.size() < sizeof executor.open) {
            throw mp::StateError(
                "an executor cannot be opened: its message is too short"
            );
        }
        std::memcpy(&executor.open, payload.data(), sizeof executor.open);
        const auto initializer = payload.subspan(sizeof executor.open);
        if (executor.open.is_isolated != 0) {
            executor.isolated = std::make_unique<IsolatedCalls>(
                bell_, executor.open, neighbours_, initializer
            );
            executor.isolated->bootup();
        } else {
            if (!initializer.empty()) {
                const ServedComms::Running running(comms_, executor.open.members);
                mp::Call initialise(initializer);
                initialise();
            }
        }
        MessageHead told = head;
        told.attempt = executor.isolated ? executor.isolated->workers() : 1;
        answer(FrameKind::opened, told, {});
    } catch (const MPIError&) {
        throw;
    } catch (...) {
        executor.isolated.reset();
        refuse(head, executor, FrameKind::refused);
    }
}

/// For what is being handled.
void Server::refuse(const MessageHead& head, Executor& executor, FrameKind kind) {
    out_.clear();
    encode_current(CallPhase::run, out_, runner_.where());
    executor.has_failed = true;
    executor.failure.assign(out_.data().begin(), out_.data().end());
    answer(kind, head, executor.failure);
}

void Server::call(const MessageHead& head, std::span<const std::byte> message) {
    const auto found = executors_.find(head.executor);
    if (found == executors_.end()) {
        try {
            throw mp::StateError("this rank does not know the task's executor");
        } catch (...) {
            answer_current(head);
        }
        return;
    }
    Executor& executor = found->second;
    if (executor.has_failed) {
        answer(FrameKind::exception, head, executor.failure);
    } else if (executor.isolated) {
        try {
            executor.isolated->submit(head, message);
        } catch (const BrokenExecutor&) {
            // Nothing runs here any more: the executor is as broken as its workers.
            answer_current(head);
            refuse(head, executor, FrameKind::broken);
        } catch (...) {
            answer_current(head);
        }
    } else {
        run_here(executor, head, message);
    }
}

void Server::run_here(
    const Executor& executor,
    const MessageHead& head,
    std::span<const std::byte> message
) {
    using Clock = std::chrono::steady_clock;
    // The task may take long, and the master waits for what it has begun to receive.
    finish_answers();
    out_.clear();
    const auto begin = Clock::now();
    FrameKind kind = FrameKind::value;
    {
        const ServedComms::Running running(comms_, executor.open.members);
        kind = runner_.run(head, message, out_);
    }
    const std::chrono::nanoseconds took = Clock::now() - begin;
    try {
        answer(kind, head, out_.data(), took.count());
    } catch (const std::bad_alloc&) {
        // The task has run, and must not be run again for want of memory.
        out_.reset();
        answer_no_memory(head);
        return;
    }
    constexpr std::size_t kept = std::size_t{1} << 20U;
    if (out_.size() > kept) {
        out_.reset();
    }
}

void Server::close(const MessageHead& head) {
    const auto found = executors_.find(head.executor);
    if (found != executors_.end()) {
        finish_answers();
        executors_.erase(found);  // its workers end
    }
    answer(FrameKind::closed, head, {});
}

/// Returns when it is on its way whatever this thread does next: that may be a task
/// that takes long.
void Server::answer(
    FrameKind kind,
    const MessageHead& question,
    std::span<const std::byte> payload,
    std::int64_t nanoseconds
) {
    MessageHead head = question;
    head.kind = kind;
    head.flags = 0;
    head.limit = nanoseconds;
    const Ticket ticket = transport_.send(0, head, payload);
    if (ticket == nothing_sent) {
        return;
    }
    pacing_.event();
    while (!transport_.is_sent(ticket)) {
        pacing_.pause(*bell_, true, true, mp::Deadline(mp::forever));
    }
}

/// Of what is being handled.
void Server::answer_current(const MessageHead& question) {
    mp::detail::ByteWriter out;
    encode_current(CallPhase::run, out, runner_.where());
    answer(FrameKind::exception, question, out.data());
}

/// Waits until there is enough to say that there was too little.
void Server::answer_no_memory(const MessageHead& question) {
    for (;;) {
        try {
            try {
                throw std::bad_alloc();
            } catch (...) {
                answer_current(question);
            }
            return;
        } catch (const std::bad_alloc&) {
            ::sched_yield();
        }
    }
}

/// What the workers of isolated executors have done.
bool Server::answer_ended() {
    bool any = false;
    for (auto& [number, executor] : executors_) {
        if (!executor.isolated) {
            continue;
        }
        while (RelayedTask* const task = executor.isolated->take_ended()) {
            any = true;
            try {
                answer_with(number, executor, *task);
            } catch (const std::bad_alloc&) {
                out_.reset();
                answer_no_memory(IsolatedCalls::head_of(*task));
                executor.isolated->release(task);
            }
        }
    }
    return any;
}

/// Sends how it ended. Throws std::bad_alloc before anything has been sent.
void Server::answer_with(std::uint32_t number, Executor& executor, RelayedTask& task) {
    out_.clear();
    MessageHead head = IsolatedCalls::head_of(task);
    std::span<const std::byte> payload;
    head.kind = executor.isolated->outcome(task, out_, runner_.where(), payload);
    const bool is_here = payload.data() == out_.data().data();
    answering_.push_back({nothing_sent, number, &task});
    try {
        answering_.back().ticket = transport_.send(0, head, payload);
    } catch (...) {
        answering_.pop_back();
        throw;
    }
    if (answering_.back().ticket == nothing_sent) {
        answering_.pop_back();
        executor.isolated->release(&task);
    } else if (is_here) {
        finish_answers();  // before that room is written to again
    }
}

bool Server::settle_answers() {
    bool any = false;
    for (std::size_t i = 0; i < answering_.size();) {
        const Answering answer = answering_[i];
        if (!transport_.is_sent(answer.ticket)) {
            ++i;
            continue;
        }
        any = true;
        answering_.erase(answering_.begin() + static_cast<std::ptrdiff_t>(i));
        executors_.at(answer.executor).isolated->release(answer.task);
    }
    return any;
}

void Server::finish_answers() {
    while (!answering_.empty()) {
        if (!settle_answers()) {
            pacing_.pause(*bell_, true, true, mp::Deadline(mp::forever));
        }
    }
}

}  // namespace futures::detail
