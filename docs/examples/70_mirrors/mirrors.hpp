// SPDX-License-Identifier: BSL-1.0
// The files, and mirrors that serve them over HTTP.
#pragma once

#include "concurrency/concurrency.hpp"

#include <cstdint>
#include <string>

/// What is in a file; it is made from its number.
std::string content_of(int file);

std::uint64_t sum_of(const std::string& content);

/// How a mirror behaves.
enum class Manners { good, slow, broken, hangs_up };

/// Serves until it is cancelled; tells its port when it listens.
concurrency::Task<>
serve(Manners manners, concurrency::TaskStatus<unsigned short>& status);

/// Throws when the mirror does not give the whole file.
concurrency::Task<std::string> fetch_file(unsigned short port, int file);
