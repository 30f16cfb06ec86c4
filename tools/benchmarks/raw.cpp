// SPDX-License-Identifier: BSL-1.0
// fork, posix_spawn, a ring in shared memory and a socket pair, by bare system calls.
#include "raw.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <new>
#include <stdexcept>

namespace bench {

namespace {

constexpr std::size_t ring_size = 1024;

pid_t spawn(std::vector<std::string> arguments, posix_spawn_file_actions_t* actions) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) {
        argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    pid_t pid = -1;
    if (::posix_spawnp(&pid, argv[0], actions, nullptr, argv.data(), environ) != 0) {
        throw std::runtime_error("posix_spawn failed: " + arguments[0]);
    }
    return pid;
}

/// One writer, one reader.
struct Ring {
    struct alignas(64) Slot {
        std::atomic<std::uint64_t> sequence{0};
        std::uint64_t value = 0;
    };

    std::array<Slot, ring_size> slots;

    bool put(std::uint64_t position, std::uint64_t value) {
        Slot& slot = slots[position % ring_size];
        // order: pairs with get(), so that the reader is done with the slot.
        if (slot.sequence.load(std::memory_order_acquire) !=
            2 * (position / ring_size)) {
            return false;
        }
        slot.value = value;
        // order: pairs with get(), so that the value is visible.
        slot.sequence.store(2 * (position / ring_size) + 1, std::memory_order_release);
        return true;
    }

    bool get(std::uint64_t position, std::uint64_t& value) {
        Slot& slot = slots[position % ring_size];
        // order: pairs with put(), so that the value is visible.
        if (slot.sequence.load(std::memory_order_acquire) !=
            2 * (position / ring_size) + 1) {
            return false;
        }
        value = slot.value;
        // order: pairs with put(), so that the slot is free only now.
        slot.sequence.store(2 * (position / ring_size) + 2, std::memory_order_release);
        return true;
    }
};

/// Spins a little, then gives the processor away. Bounded by the life of the peer:
/// the worker dies with its parent.
template <class Try>
void until(Try try_it) {
    for (unsigned spins = 0; !try_it(); ++spins) {
        if (spins % 100 < 50) {
            __builtin_ia32_pause();
        } else {
            ::sched_yield();
        }
    }
}

}  // namespace

void raw_fork_and_wait() {
    const pid_t pid = ::fork();
    if (pid == 0) {
        ::_exit(0);
    }
    ::waitpid(pid, nullptr, 0);
}

void raw_spawn_and_wait(const std::vector<std::string>& arguments) {
    ::waitpid(spawn(arguments, nullptr), nullptr, 0);
}

std::string raw_output_of(const std::vector<std::string>& arguments) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
        throw std::runtime_error("pipe failed");
    }
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    const pid_t pid = spawn(arguments, &actions);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    std::string text;
    std::array<char, 4096> piece{};
    for (ssize_t got = 0; (got = ::read(ends[0], piece.data(), piece.size())) > 0;) {
        text.append(piece.data(), static_cast<std::size_t>(got));
    }
    ::close(ends[0]);
    ::waitpid(pid, nullptr, 0);
    return text;
}

struct RawRing::Shared {
    Ring calls;
    Ring results;
    std::uint64_t next_call = 0;    // of the parent
    std::uint64_t next_result = 0;  // of the parent
};

RawRing::RawRing() : shared_(nullptr), worker_(-1) {
    void* const memory = ::mmap(
        nullptr,
        sizeof(Shared),
        PROT_READ | PROT_WRITE,
        MAP_SHARED | MAP_ANONYMOUS,
        -1,
        0
    );
    if (memory == MAP_FAILED) {
        throw std::runtime_error("mmap failed");
    }
    shared_ = new (memory) Shared;
    worker_ = ::fork();
    if (worker_ == 0) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (std::uint64_t position = 0;; ++position) {
            std::uint64_t value = 0;
            until([&] { return shared_->calls.get(position, value); });
            until([&] { return shared_->results.put(position, value + 1); });
        }
    }
}

RawRing::~RawRing() {
    ::kill(worker_, SIGKILL);
    ::waitpid(worker_, nullptr, 0);
    ::munmap(shared_, sizeof(Shared));
}

void RawRing::round_trip() {
    std::uint64_t value = 0;
    until([&] { return shared_->calls.put(shared_->next_call, value); });
    until([&] { return shared_->results.get(shared_->next_result, value); });
    ++shared_->next_call;
    ++shared_->next_result;
}

void RawRing::stream(std::size_t count) {
    const std::uint64_t end = shared_->next_call + count;
    while (shared_->next_result != end) {
        std::uint64_t value = 0;
        bool moved = false;
        while (shared_->next_call != end && shared_->calls.put(shared_->next_call, 0)) {
            ++shared_->next_call;
            moved = true;
        }
        while (shared_->next_result != shared_->next_call &&
               shared_->results.get(shared_->next_result, value)) {
            ++shared_->next_result;
            moved = true;
        }
        if (!moved) {
            ::sched_yield();
        }
    }
}

namespace {

bool send_whole(int socket, const std::vector<char>& buffer) {
    std::size_t done = 0;
    while (done < buffer.size()) {
        const ssize_t n = ::write(socket, buffer.data() + done, buffer.size() - done);
        if (n <= 0) {
            return false;
        }
        done += static_cast<std::size_t>(n);
    }
    return true;
}

bool receive_whole(int socket, std::vector<char>& buffer) {
    std::size_t done = 0;
    while (done < buffer.size()) {
        const ssize_t n = ::read(socket, buffer.data() + done, buffer.size() - done);
        if (n <= 0) {
            return false;
        }
        done += static_cast<std::size_t>(n);
    }
    return true;
}

}  // namespace

RawPair::RawPair(std::size_t size) : buffer_(size) {
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
        throw std::runtime_error("socketpair failed");
    }
    child_ = ::fork();
    if (child_ == 0) {
        ::close(ends[0]);
        while (receive_whole(ends[1], buffer_) && send_whole(ends[1], buffer_)) {
        }
        ::_exit(0);
    }
    ::close(ends[1]);
    socket_ = ends[0];
}

RawPair::~RawPair() {
    ::close(socket_);
    ::waitpid(child_, nullptr, 0);
}

void RawPair::round_trip() {
    if (!send_whole(socket_, buffer_) || !receive_whole(socket_, buffer_)) {
        throw std::runtime_error("the other end is gone");
    }
}

}  // namespace bench
