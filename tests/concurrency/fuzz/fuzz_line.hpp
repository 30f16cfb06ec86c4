// SPDX-License-Identifier: BSL-1.0
// FuzzLine: the model of a queue of tasks, first come, first served. It knows who is to
// be served next, and that a task which was cancelled before is not there any more.
#pragma once

#include "fuzz.hpp"

#include <algorithm>
#include <deque>

namespace test {

/// A task in the model of what it waits in.
struct FuzzTicket : FuzzWait {
    explicit FuzzTicket(FuzzPlace at) : FuzzWait{at.node} {}

    bool is_live() const noexcept {
        return !is_over && cancelled_at == concurrency::inf;
    }

    /// What it waited for has happened, or will never do.
    void finish(FuzzEnd how) noexcept {
        is_over = true;
        end = how;
    }

    /// How the call is to end.
    FuzzEnd expected() const noexcept { return is_over ? end : FuzzEnd::cancelled; }

    FuzzEnd end = FuzzEnd::returned;
};

template <class Ticket>
class FuzzLine {
public:
    void push(Ticket& ticket) { tickets_.push_back(&ticket); }

    void remove(Ticket& ticket) {
        tickets_.erase(std::find(tickets_.begin(), tickets_.end(), &ticket));
    }

    /// Who has waited longest, or null.
    Ticket* first(Fuzz& fuzz) const {
        fuzz.look();
        const auto live = std::find_if(tickets_.begin(), tickets_.end(), is_live);
        return live == tickets_.end() ? nullptr : *live;
    }

    std::size_t size(Fuzz& fuzz) const {
        fuzz.look();
        return static_cast<std::size_t>(
            std::count_if(tickets_.begin(), tickets_.end(), is_live)
        );
    }

    void finish_all(Fuzz& fuzz, FuzzEnd how) {
        finish_all(fuzz, how, [](const Ticket&) { return true; });
    }

    /// Those that are like that.
    template <class Predicate>
    void finish_all(Fuzz& fuzz, FuzzEnd how, Predicate predicate) {
        fuzz.look();
        for (Ticket* ticket : tickets_) {
            if (ticket->is_live() && predicate(*ticket)) {
                ticket->finish(how);
            }
        }
    }

    /// Whether one of those that wait is like that.
    template <class Predicate>
    bool any(Fuzz& fuzz, Predicate predicate) const {
        fuzz.look();
        return std::any_of(tickets_.begin(), tickets_.end(), [&](const Ticket* ticket) {
            return is_live(ticket) && predicate(*ticket);
        });
    }

private:
    static bool is_live(const Ticket* ticket) noexcept { return ticket->is_live(); }

    std::deque<Ticket*> tickets_;
};

/// Awaits a call that waits in that line, and tells how it ended, which has to be as
/// the model says.
template <class Ticket>
concurrency::Task<FuzzEnd> wait_in_line(
    Fuzz& fuzz, FuzzLine<Ticket>& line, Ticket& ticket, concurrency::Task<> call
) {
    line.push(ticket);
    fuzz.begin(ticket);
    const FuzzEnd end = co_await end_of(std::move(call));
    fuzz.end(ticket);
    line.remove(ticket);
    fuzz.expect(!ticket.is_live(), "a task was woken for nothing");
    fuzz.expect(end == ticket.expected(), "how a wait in a queue ended");
    co_return end;
}

/// The same of a call that is not to wait.
inline concurrency::Task<FuzzEnd>
go_through(Fuzz& fuzz, FuzzEnd expected, concurrency::Task<> call) {
    const FuzzEnd end = co_await end_of(std::move(call));
    fuzz.expect(end == expected, "how a call that need not wait ended");
    co_return end;
}

}  // namespace test
