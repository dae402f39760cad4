#pragma once

namespace CLI {
class App;
}

namespace ingot {

void AddBenchKernels(CLI::App& bench);
void AddBenchStep(CLI::App& bench);
void AddBenchTokenizer(CLI::App& bench);
void AddBenchLoader(CLI::App& bench);
void AddBenchRanks(CLI::App& bench);

}  // namespace ingot
