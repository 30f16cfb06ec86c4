// SPDX-License-Identifier: BSL-1.0
// FewDescriptors: a process that may open no more.
#pragma once

#include <sys/resource.h>

namespace test {

/// Lets no new descriptor have this number or a higher one while it lives.
class FewDescriptors {
public:
    explicit FewDescriptors(int first) {
        ::getrlimit(RLIMIT_NOFILE, &before_);
        rlimit limit = before_;
        limit.rlim_cur = static_cast<rlim_t>(first);
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }

    FewDescriptors(const FewDescriptors&) = delete;
    FewDescriptors& operator=(const FewDescriptors&) = delete;

    ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

private:
    rlimit before_{};
};

}  // namespace test
