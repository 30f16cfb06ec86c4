// SPDX-License-Identifier: BSL-1.0
// The farm's part that sends: which executor has its turn, which rank gets the task.
#include "mpi/farm.hpp"
#include "mpi/mpi_pool_core.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace futures::detail {

namespace {

std::int64_t nanoseconds_of(const mp::Timeout& time) noexcept {
    return time.duration().count();
}

}  // namespace

/// Each executor in turn gets one place, as long as there are any.
bool Farm::assign() {
    bool any = false;
    for (bool again = true; again;) {
        again = false;
        for (std::size_t i = 0; i < pools_.size(); ++i) {
            const std::shared_ptr<MPIPool> pool =
                pools_[(turn_of_ + i) % pools_.size()];
            if (pool->wants_bootup()) {
                open_everywhere(*pool);
            }
            if (pool->has_pending() && send_one(*pool)) {
                again = any = true;
            }
        }
        turn_of_ = pools_.empty() ? 0 : (turn_of_ + 1) % pools_.size();
    }
    return any;
}

void Farm::open_everywhere(MPIPool& pool) {
    for (std::size_t peer = 0; peer < pool.ranks().size(); ++peer) {
        open_at(pool, peer);
        if (is_gone_[peer] && !pool.ranks()[peer].is_ready) {
            pool.is_ready_at(peer, 1);  // as much as it will ever be
        }
    }
    pool.has_booted();
}

/// The one with the least to do that may have another task of this executor's.
std::optional<std::size_t> Farm::free_peer(MPIPool& pool) {
    std::optional<std::size_t> best;
    const auto& ranks = pool.ranks();
    for (std::size_t peer = 0; peer < ranks.size(); ++peer) {
        if (!is_gone_[peer] && ranks[peer].flights < pool.credits_at(ranks[peer]) &&
            (!best || load_[peer] < load_[*best])) {
            best = peer;
        }
    }
    return best;
}

bool Farm::send_one(MPIPool& pool) {
    const auto peer = free_peer(pool);
    if (!peer) {
        return false;
    }
    const std::uint64_t number = new_flight();
    PoolTask* const task = pool.take_next(number, *peer);
    if (task == nullptr) {
        return false;
    }
    send_task(pool, *peer, number, *task);
    return true;
}

void Farm::open_at(MPIPool& pool, std::size_t peer) {
    MPIPool::At& at = pool.ranks()[peer];
    if (at.is_opened || is_gone_[peer]) {
        return;
    }
    MessageHead head;
    head.kind = FrameKind::open;
    head.executor = pool.number();
    leftovers_.reserve(leftovers_.size() + 1);
    const Ticket ticket = transport_->send(peer, head, pool.opening());
    at.is_opened = true;
    ++awaited_;
    ++awaited_at_[peer];
    if (ticket != nothing_sent) {
        leftovers_.push_back({ticket, {}, pool.shared_from_this()});
    }
}

void Farm::send_note(
    std::size_t peer, FrameKind kind, const MPIPool& pool, std::uint64_t task
) {
    MessageHead head;
    head.kind = kind;
    head.executor = pool.number();
    head.task = task;
    leftovers_.reserve(leftovers_.size() + 1);
    const Ticket ticket = transport_->send(peer, head, {});
    if (ticket != nothing_sent) {
        leftovers_.push_back({ticket, {}, {}});
    }
}

/// The number of one that is free, which is taken by who uses it.
std::uint64_t Farm::new_flight() {
    if (free_flights_.empty()) {
        free_flights_.reserve(flights_.size() + 1);
        flights_.emplace_back();
        free_flights_.push_back(static_cast<std::uint32_t>(flights_.size() - 1));
    }
    const std::uint32_t index = free_flights_.back();
    return std::uint64_t{flights_[index].generation} << generation_at | index;
}

void Farm::send_task(
    MPIPool& pool, std::size_t peer, std::uint64_t number, PoolTask& task
) {
    Flight& flight = flights_[static_cast<std::uint32_t>(number)];
    try {
        open_at(pool, peer);
        unsent_.reserve(unsent_.size() + 1);
        MessageHead head;
        head.kind = FrameKind::call;
        head.flags = task.has_trailer ? MessageHead::has_trailer : 0;
        head.executor = pool.number();
        head.attempt = task.attempt;
        head.losses = task.losses;
        head.time_outs = task.time_outs;
        head.task = number;
        if (task.has_limit()) {
            head.limit = nanoseconds_of(task.control->limit);
            head.grace = nanoseconds_of(task.control->grace);
            head.kill_after = nanoseconds_of(task.control->kill_after);
        }
        flight.ticket = transport_->send(peer, head, task.message.bytes());
    } catch (const std::bad_alloc&) {
        pool.note_unsent(peer);
        task.message.clear();
        task.end = TaskEnd::failed;
        task.failure = std::current_exception();
        pool.conclude(task);
        return;
    } catch (...) {
        pool.note_unsent(peer);
        pool.put_back(task, false);
        throw;
    }
    free_flights_.pop_back();
    flight.pool = pool.shared_from_this();
    flight.task = &task;
    flight.size = task.message.bytes().size();
    flight.call = std::move(task.message);
    flight.peer = peer;
    flight.in_use = true;
    ++in_flight_;
    ++pool.flights;
    ++pool.ranks()[peer].flights;
    ++load_[peer];
    if (flight.ticket != nothing_sent) {
        unsent_.push_back(number);
    } else if (task.retries == 0) {
        flight.call.clear();
    }
}

Farm::Flight* Farm::flight_of(std::uint64_t number) noexcept {
    const auto index = static_cast<std::uint32_t>(number);
    if (index >= flights_.size() || !flights_[index].in_use ||
        flights_[index].generation != number >> generation_at) {
        return nullptr;
    }
    return &flights_[index];
}

void Farm::free_flight(Flight& flight) noexcept {
    --load_[flight.peer];
    --flight.pool->flights;
    --flight.pool->ranks()[flight.peer].flights;
    --in_flight_;
    flight.in_use = false;
    flight.task = nullptr;
    flight.pool.reset();
    flight.call.clear();
    flight.ticket = nothing_sent;
    ++flight.generation;
    // There is room, since it was taken from there.
    free_flights_.push_back(static_cast<std::uint32_t>(&flight - flights_.data()));
}

/// What was being sent may have gone.
void Farm::settle_tickets() {
    for (std::size_t i = 0; i < unsent_.size();) {
        Flight* const flight = flight_of(unsent_[i]);
        if (flight != nullptr && flight->ticket != nothing_sent) {
            if (!transport_->is_sent(flight->ticket)) {
                ++i;
                continue;
            }
            flight->ticket = nothing_sent;
            if (flight->task == nullptr || flight->task->retries == 0) {
                flight->call.clear();
            }
        }
        unsent_[i] = unsent_.back();
        unsent_.pop_back();
    }
    for (std::size_t i = 0; i < leftovers_.size();) {
        if (transport_->is_sent(leftovers_[i].ticket)) {
            leftovers_.erase(leftovers_.begin() + static_cast<std::ptrdiff_t>(i));
        } else {
            ++i;
        }
    }
}

bool Farm::send_stops() {
    bool any = false;
    for (const auto& pool : pools_) {
        if (!pool->has_stops()) {
            continue;
        }
        for (const std::uint64_t number : pool->take_stops()) {
            if (const Flight* const flight = flight_of(number)) {
                send_note(flight->peer, FrameKind::stop_task, *pool, number);
                any = true;
            }
        }
    }
    return any;
}

}  // namespace futures::detail
