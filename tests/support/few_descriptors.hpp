// SPDX-License-Identifier: BSL-1.0
// FewDescriptors: a process that may open some descriptors more, and then no more.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

namespace test {

/// While it lives, `room` descriptors can be opened. It holds all others: numbers are
/// free wherever they are, and those above stay as they are.
class FewDescriptors {
public:
    explicit FewDescriptors(int room) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit low = before_;
        low.rlim_cur = std::min<rlim_t>(low.rlim_cur, most);
        ::setrlimit(RLIMIT_NOFILE, &low);
        held_.reserve(most);
        for (int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC); fd >= 0;
             fd = ::fcntl(held_.front(), F_DUPFD_CLOEXEC, 0)) {
            held_.push_back(fd);
        }
        for (; room > 0 && !held_.empty(); --room) {
            ::close(held_.back());
            held_.pop_back();
        }
    }

    FewDescriptors(const FewDescriptors&) = delete;
    FewDescriptors& operator=(const FewDescriptors&) = delete;

    ~FewDescriptors() {
        for (const int fd : held_) {
            ::close(fd);
        }
        ::setrlimit(RLIMIT_NOFILE, &before_);
    }

private:
    static constexpr rlim_t most = 200;

    rlimit before_{};
    std::vector<int> held_;
};

}  // namespace test
