-- OpenTelemetry's word for what a call is, from LiteLLM's, traceloop's or Semantic Kernel's; others stay as they are.
--
-- told: a text
transform(
    @told,
    [
        'completion', 'atext_completion', 'text_completions', 'text.completions', 'text.streaming_completions',
        'acompletion', 'responses', 'aresponses', 'anthropic_messages', 'chat.completions', 'chat.streaming_completions',
        'embedding', 'aembedding', 'agenerate_content', 'generate_content_stream', 'agenerate_content_stream'
    ],
    [
        'text_completion', 'text_completion', 'text_completion', 'text_completion', 'text_completion',
        'chat', 'chat', 'chat', 'chat', 'chat', 'chat',
        'embeddings', 'embeddings', 'generate_content', 'generate_content', 'generate_content'
    ]
)
