// SPDX-License-Identifier: BSL-1.0
// The only include of Catch2, version 2 or 3, and the names that differ: tests use
// these and no others of its namespace (a check holds it).
#pragma once

#include <string>

#if __has_include(<catch2/catch_all.hpp>)

#include <catch2/catch_all.hpp>

namespace test {
using Listener = Catch::EventListenerBase;
using Catch::Approx;
using Catch::Matchers::ContainsSubstring;
using Catch::Matchers::StartsWith;
}  // namespace test

#else

#include <catch2/catch.hpp>

namespace test {
#if defined(CATCH_CONFIG_RUNNER) || defined(CATCH_CONFIG_EXTERNAL_INTERFACES)
using Listener = Catch::TestEventListenerBase;
#endif

using Catch::Matchers::StartsWith;

inline auto ContainsSubstring(const std::string& text) {
    return Catch::Matchers::Contains(text);
}

inline Catch::Detail::Approx Approx(double value) {
    return Catch::Detail::Approx(value);
}
}  // namespace test

#endif
