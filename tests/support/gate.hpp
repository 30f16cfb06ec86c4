// SPDX-License-Identifier: BSL-1.0
// Gate: a test's process and its workers wait for each other, under every start method.
// A gate is a FIFO: its path can travel to any process.
#pragma once

#include "support/catch.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace test {

class Gate {
public:
    Gate() {
        char folder[] = "/tmp/mp-gate-XXXXXX";
        folder_ = mkdtemp(folder);
        path_ = folder_ + "/fifo";
        REQUIRE(mkfifo(path_.c_str(), 0600) == 0);
        // Both ends: so no opener blocks, and no reader sees an end.
        fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
        REQUIRE(fd_ >= 0);
    }

    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

    ~Gate() {
        ::close(fd_);
        ::unlink(path_.c_str());
        ::rmdir(folder_.c_str());
    }

    const std::string& path() const { return path_; }

    /// Lets so many pass.
    void open(std::size_t count) const {
        const std::vector<char> bytes(count, 'x');
        REQUIRE(::write(fd_, bytes.data(), count) == static_cast<ssize_t>(count));
    }

    /// Waits until so many have called ring(); false after 30 s.
    bool wait_for(std::size_t count) const {
        for (; count > 0; --count) {
            pollfd poller{fd_, POLLIN, 0};
            char byte = 0;
            if (::poll(&poller, 1, 30'000) != 1 || ::read(fd_, &byte, 1) != 1) {
                return false;
            }
        }
        return true;
    }

    /// Whether one has called ring(); counts it as wait_for(1) does.
    bool has_one() const {
        pollfd poller{fd_, POLLIN, 0};
        char byte = 0;
        return ::poll(&poller, 1, 0) == 1 && ::read(fd_, &byte, 1) == 1;
    }

private:
    std::string folder_;
    std::string path_;
    int fd_ = -1;
};

/// In any process: waits until the gate is opened for one more.
inline void pass(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    char byte = 0;
    if (fd < 0 || ::read(fd, &byte, 1) != 1) {
        std::abort();
    }
    ::close(fd);
}

/// In any process: for wait_for().
inline void ring(const std::string& path) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd < 0 || ::write(fd, "x", 1) != 1) {
        std::abort();
    }
    ::close(fd);
}

}  // namespace test
