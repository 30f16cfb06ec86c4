// SPDX-License-Identifier: BSL-1.0
// FuzzChannel: the model of a memory object stream: which item goes where, and how each
// call ends.
#pragma once

#include "concurrency/queue.hpp"
#include "concurrency/streams.hpp"
#include "fuzz_line.hpp"

#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

namespace test {

/// What goes through queues: a number in one place at a time.
class FuzzItem {
public:
    explicit FuzzItem(int number) : number_(number) { add(1); }

    FuzzItem(FuzzItem&& other) noexcept : number_(std::exchange(other.number_, 0)) {}

    FuzzItem& operator=(FuzzItem&&) = delete;

    ~FuzzItem() {
        if (number_ != 0) {
            add(-1);
        }
    }

    int number() const noexcept { return number_; }

    /// How many there are.
    static int alive() noexcept { return count(); }

private:
    // Of one loop at a time, in whatever thread.
    static int& count() noexcept {
        static int count = 0;
        return count;
    }

    static void add(int change) noexcept { count() += change; }

    int number_;
};

struct FuzzItemTicket : FuzzTicket {
    FuzzItemTicket(FuzzPlace at, int which_end, int brought)
        : FuzzTicket(at), from(which_end), item(brought) {}

    int from;  // the number of the end in which it waits
    int item;  // that it brings, or has got
};

class FuzzChannel {
public:
    explicit FuzzChannel(std::size_t max) : max_(max) {}

    /// How a send is to end; nothing if it waits.
    std::optional<FuzzEnd> send(Fuzz& fuzz, int item);
    std::optional<FuzzEnd> receive(Fuzz& fuzz, int& item);

    int open_sender();
    int open_receiver();
    void close_sender(Fuzz& fuzz, int end, FuzzEnd own);
    void close_receiver(Fuzz& fuzz, int end, FuzzEnd own);

    bool is_open(int end) const { return open_.count(end) != 0; }

    bool has_both() const noexcept { return senders_open_ > 0 && receivers_open_ > 0; }

    void check(Fuzz& fuzz, const concurrency::MemoryObjectStreamStatistics& now) const;

    FuzzLine<FuzzItemTicket> senders;
    FuzzLine<FuzzItemTicket> receivers;

private:
    const std::size_t max_;
    std::deque<int> buffer_;
    std::set<int> open_;
    int next_end_ = 1;
    int senders_open_ = 0;
    int receivers_open_ = 0;
};

template <class End>
struct FuzzStreamEnd {
    int number;
    std::unique_ptr<End> end;
};

/// A stream with its clones. Who uses it holds the model; a stream of which a side is
/// closed is replaced now and then.
struct FuzzStream {
    using Send = concurrency::MemoryObjectSendStream<FuzzItem>;
    using Receive = concurrency::MemoryObjectReceiveStream<FuzzItem>;

    std::shared_ptr<FuzzChannel> channel;
    std::vector<FuzzStreamEnd<Send>> senders;
    std::vector<FuzzStreamEnd<Receive>> receivers;
};

struct FuzzQueue {
    std::shared_ptr<FuzzChannel> channel;
    std::unique_ptr<concurrency::Queue<FuzzItem>> queue;
    int sender = 0;
    int receiver = 0;
};

}  // namespace test
